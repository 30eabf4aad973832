/** The report of `bun-reactor doctor` as text. */

import type { LibraryOrigin } from "../native/library-file.ts";
import type { LibraryReport, Report } from "./examine.ts";

export function show(report: Report): string {
  const lines = [`bun-reactor ${report.version}`, ""];
  for (const [name, values] of facts(report)) {
    for (const [index, value] of values.entries())
      lines.push(`  ${(index === 0 ? name : "").padEnd(NAME_WIDTH)}${value}`);
  }
  lines.push("");
  for (const remark of report.remarks) lines.push(`note: ${remark}`);
  for (const problem of report.problems) lines.push(`problem: ${problem}`);
  lines.push(report.isHealthy ? "healthy: bun-reactor works here" : "broken: bun-reactor does not work here");
  return `${lines.join("\n")}\n`;
}

function facts(report: Report): [name: string, values: string[]][] {
  const { bun, descriptors, eventQueue, kernel, library, platform, selfTests } = report;
  return [
    ["platform", [`${platform}, kernel ${kernel}`]],
    ["Bun", [`${bun.version}, ${bun.path}`]],
    ...(library === null ? [["library", ["none"]] as [string, string[]]] : factsOfLibrary(library)),
    ["event queue", [eventQueue]],
    [
      "descriptors",
      [descriptors === null ? "no limit known" : `${descriptors.soft} at most, ${descriptors.hard} if raised`],
    ],
    ...selfTests.map(({ name, isPassed }): [string, string[]] => [
      name,
      [`echo over loopback ${isPassed ? "works" : "FAILED"}`],
    ]),
  ];
}

function factsOfLibrary({ path, origin, tried, abiVersion, provenance }: LibraryReport): [string, string[]][] {
  return [
    ["library", [path, `${ORIGINS[origin]}${tried.map((place) => `; ${place}`).join("")}`]],
    ["ABI version", [`${abiVersion}`]],
    ["made of", [provenance]],
  ];
}

const ORIGINS: Readonly<Record<LibraryOrigin, string>> = {
  environment: "named by the environment",
  package: "the package's own",
  checkout: "built in this checkout",
  program: "from inside this program",
};

const NAME_WIDTH = 13;

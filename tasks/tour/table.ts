/** The closing table, and numbers that fit into it. */

import { styleText } from "node:util";

export interface Row {
  readonly what: string;
  readonly ours: string;
  /** The same job done otherwise. */
  readonly theirs?: string;
  readonly ratio?: string;
}

/** Prints the rows; in colour on a terminal that has it. */
export function printTable(rows: readonly Row[]): void {
  const cells = [TITLES, ...rows].map(({ what, ours, theirs = "", ratio = "" }) => [what, ours, theirs, ratio]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((line) => line[column]!.length)));
  const [titles, ...lines] = cells.map((line) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))),
  );
  console.log(styleText("bold", titles!.join("  ")));
  console.log(styleText("dim", widths.map((width) => "─".repeat(width)).join("  ")));
  for (const [what, ours, theirs, ratio] of lines) {
    console.log(`${what}  ${styleText("green", ours!)}  ${theirs}  ${ratio}`.trimEnd());
  }
}

const TITLES: Row = { what: "what", ours: "bun-reactor", theirs: "beside it", ratio: "ratio" };

/** 12345.6 as `12,346`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 1234.5 ms as `1.23 s`, 1.5 ms as `1.50 ms`. */
export function time(durationMs: number): string {
  return durationMs < 1000 ? `${durationMs.toPrecision(3)} ms` : `${(durationMs / 1000).toFixed(2)} s`;
}

/** 1.0 against 2.0 as `0.50 ×`. */
export function ratio(ours: number, theirs: number): string {
  return `${(ours / theirs).toFixed(2)} ×`;
}

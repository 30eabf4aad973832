/** The command line of `bun-reactor`. */

import { examine } from "./examine.ts";
import { show } from "./show.ts";

const USAGE = "usage: bun-reactor doctor [--json]";

/** Does what the arguments say; returns the exit code: 0 if all is well, 1 if not, 2 if they make no sense. */
export async function command(programArguments: readonly string[]): Promise<number> {
  if (programArguments.some((argument) => argument === "--help" || argument === "-h")) {
    process.stdout.write(`${USAGE}\n\n${HELP}\n`);
    return 0;
  }
  const [name, ...options] = programArguments;
  const unknown = options.find((option) => option !== "--json");
  if (name !== "doctor" || unknown !== undefined) {
    process.stderr.write(`bun-reactor: ${complaint(name, unknown)}\n${USAGE}\n`);
    return 2;
  }
  const report = await examine();
  process.stdout.write(options.length > 0 ? `${JSON.stringify(report, null, 2)}\n` : show(report));
  return report.isHealthy ? 0 : 1;
}

function complaint(name: string | undefined, unknown: string | undefined): string {
  if (name === undefined) return "what is to be done?";
  return name === "doctor" ? `there is no option ${unknown}` : `there is no command ${name}`;
}

const HELP = `doctor looks at the platform, Bun, the native library and the limits, sends bytes over loopback with \`run\`
and with \`blockOn\`, and says whether the package works here: exit code 0, or 1 if it does not.
--json prints the same for programs.`;

#!/usr/bin/env bun
/** The command `bun-reactor`. What it does is loaded only on Bun, so that others learn that they need it. */

if (process.versions.bun === undefined) {
  process.stderr.write("bun-reactor needs Bun 1.4.5 or later (https://bun.com): try `bunx bun-reactor doctor`\n");
  process.exitCode = 1;
} else {
  const { command } = await import("./doctor/command.ts");
  process.exitCode = await command(process.argv.slice(2));
}

// Makes this file a module.
export {};

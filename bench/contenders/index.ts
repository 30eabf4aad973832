// The program that does one contender's job, in a process of its own:
//
//     bun bench/contenders/index.ts --library effect --bench switch --job "one task"
//
// Each line on its input is a count; it answers with a line of JSON.

import { parseArguments } from "../support/arguments.ts";
import { LineReader } from "../support/line-reader.ts";
import type { Job, Jobs } from "./jobs.ts";

const job = await findJob();
const counts = new LineReader(Bun.stdin.stream());
for (let line = await counts.next(); line !== undefined; line = await counts.next()) {
  console.log(JSON.stringify(await job(Number(line))));
}
// Tasks that were left waiting would keep the process alive.
process.exit(0);

async function findJob(): Promise<Job> {
  const { library = "", bench = "", job = "" } = parseArguments({ library: "text", bench: "text", job: "text" });
  const { jobs } = (await import(`./${library}/${bench}.ts`)) as { jobs: Jobs };
  const found = jobs[job];
  if (found !== undefined) return found;
  throw new Error(`${library} has no job ${JSON.stringify(job)} in ${bench}; it has ${Object.keys(jobs).join(", ")}`);
}

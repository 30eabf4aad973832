// Measures servers in interleaved rounds: in each round every one has its turn, in rotating order, so that a slow minute of
// the machine hits all alike. All of them are up from the first round to the last.

import { rotated } from "./compare.ts";
import { type ServerOptions, ServerProcess } from "./server-process.ts";

/** What each server came to in each round. `isFirst` is for a longer warm-up. */
export async function measureInRounds<Name extends string, Result>(
  names: readonly Name[],
  rounds: number,
  optionsOf: (name: Name) => ServerOptions,
  measureRound: (server: ServerProcess, isFirst: boolean) => Promise<Result>,
): Promise<ReadonlyMap<Name, readonly Result[]>> {
  await using processes = new AsyncDisposableStack();
  const entrants: { readonly server: ServerProcess; readonly results: Result[] }[] = [];
  for (const name of names)
    entrants.push({ server: processes.use(await ServerProcess.start(optionsOf(name))), results: [] });
  for (let round = 0; round < rounds; round++)
    for (const { server, results } of rotated(entrants, round)) results.push(await measureRound(server, round === 0));
  return new Map(names.map((name, index) => [name, entrants[index]!.results]));
}

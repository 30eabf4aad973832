/**
 * `expect(…).resolves` and `.rejects` run the host's event loop within the call, with turns of their own: what waits
 * for turns must get on there as well. A defect shows as a test that takes seconds, and so its time is up.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DeadlockError } from "../../src/core/errors.ts";
import { sleep } from "../../src/core/sleep.ts";
import { virtualTime, VirtualWorld } from "../../src/test.ts";
import { hostTurn } from "../../src/testing/host-turn.ts";

/** Something of the host that keeps its event loop alive, as a server would. */
let server: Bun.Server<undefined>;
beforeAll(() => {
  server = Bun.serve({ port: 0, fetch: () => new Response() });
});
afterAll(() => server.stop(true));

async function takeTurns(count: number): Promise<string> {
  for (let turn = 0; turn < count; turn++) await hostTurn();
  return "done";
}

describe("within expect(…).resolves", () => {
  test("the host has its turns", async () => {
    await expect(takeTurns(100)).resolves.toBe("done");
  });

  test("the host has its turns, too, if the test goes on in a turn itself", async () => {
    await hostTurn();
    await expect(takeTurns(100)).resolves.toBe("done");
    await new Promise((resolve) => setImmediate(resolve));
    await expect(takeTurns(100)).resolves.toBe("done");
  });

  test("a turn that is stuck behind the test's own comes in the end", async () => {
    const own = new Promise((resolve) => setImmediate(resolve));
    const stuck = takeTurns(1);
    await own;
    await expect(stuck).resolves.toBe("done");
  });

  test("a world comes to its end", async () => {
    const world = new VirtualWorld();
    await world.settled();
    const running = world.run(function* () {
      for (let count = 0; count < 100; count++) yield* sleep(1_000);
      return world.nowMs;
    });
    await expect(running).resolves.toBe(100_000);
    await expect(virtualTime(() => sleep(Infinity))).rejects.toBeInstanceOf(DeadlockError);
  });
});

test("a turn lets all microtasks go first", async () => {
  const order: string[] = [];
  const turned = hostTurn().then(() => order.push("turn"));
  let chain = Promise.resolve();
  for (let count = 0; count < 1_000; count++) chain = chain.then(() => {});
  await Promise.all([turned, chain.then(() => order.push("microtasks"))]);
  expect(order).toEqual(["microtasks", "turn"]);
});

test("turns do not keep the host from its own", async () => {
  let isFired = false;
  setTimeout(() => (isFired = true), 0);
  while (!isFired) await hostTurn();
});

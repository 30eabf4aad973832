/**
 * A connection that is closed between the event that ends a wait and the step of the task that waited. The number of
 * its descriptor may belong to someone else by then.
 */

import { describe, expect, test } from "bun:test";
import { ClosedError, join, type Operation, spawn, yieldNow } from "../../src/index.ts";
import { connectToSelf, errorOf, WAYS } from "../support/loopback.ts";

describe.each(WAYS)("%s", (_name, way) => {
  test("a read that was about to go on ends with a ClosedError", async () => {
    await way(function* (): Operation<void> {
      const first = yield* connectToSelf();
      const second = yield* connectToSelf();
      const closer = yield* spawn(function* () {
        yield* first.server.read(new Uint8Array(1));
        second.server.close();
      });
      const reader = yield* spawn(errorOf(second.server.read(new Uint8Array(1))));
      yield* yieldNow();
      // Both events come with one poll, and in this order.
      yield* first.client.write("x");
      yield* second.client.write("y");
      yield* join(closer);
      expect(yield* join(reader)).toBeInstanceOf(ClosedError);
      for (const stream of [first.client, first.server, second.client]) stream.close();
    });
  });
});

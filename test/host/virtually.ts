/** Runs tasks of these tests on a driver without a kernel, and counts who listens. */

import { getEventListeners } from "node:events";
import { Executor } from "../../src/core/executor.ts";
import type { TaskBody } from "../../src/core/operation.ts";
import type { Runner } from "../../src/host/runner.ts";
import { VirtualDriver } from "../../src/testing/virtual-driver.ts";
import { settled } from "../support/settled.ts";

/** Runs a task on an executor of its own. Fails if nothing is under way any more that could end it. */
export function runVirtually<T>(body: TaskBody<T>): Promise<T> {
  const driver = new VirtualDriver();
  return settled(driver, new Executor(driver).run(body));
}

/** What starts tasks from host code, on an executor of its own. */
export function virtualRunner(): Runner {
  const executor = new Executor(new VirtualDriver());
  return (body, options) => executor.run(body, options);
}

/** How many listen for the abort of the signal. */
export function listenersOf(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

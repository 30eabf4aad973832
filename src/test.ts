/** The public names of `bun-reactor/test`, the kit for tests of tasks, and nothing else. */

export {
  checkByteStream,
  checkOneWayStream,
  type OneWayPair,
  type StreamCheckOptions,
  type StreamPair,
} from "./testing/byte-stream-check.ts";
export type { ClockOptions } from "./testing/clockwork.ts";
export type { Random } from "./testing/random.ts";
export { settled } from "./testing/settled.ts";
export { StalledError } from "./testing/stalled-error.ts";
export { underSeeds, type UnderSeedsOptions } from "./testing/under-seeds.ts";
export { VirtualDriver, type VirtualDriverOptions } from "./testing/virtual-driver.ts";
export { virtualTime, VirtualWorld, type VirtualWorldOptions, type WorldBody } from "./testing/virtual-world.ts";

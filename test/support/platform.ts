/**
 * What the tests run on, and tests that cannot run there. Each of those is skipped with its reason in its name, from which
 * `bun run test:platforms` gathers them:
 *
 *     testUnless(gap({ "qemu-user": "version 7.2 knows no multicast" }))("members get what is sent to the group", …);
 *     describeUnless(needs("terminals"))("a pseudo-terminal", …);
 */

import { describe, test } from "bun:test";

/** What is between the tests and the kernel. `native` is nothing: the platform that Bun was built for. */
const PLATFORMS = ["native", "musl", "qemu-user", "wine"] as const;
export type Platform = (typeof PLATFORMS)[number];

/** The variable in which `bun run test:platforms` names it. */
export const PLATFORM_VARIABLE = "BUN_REACTOR_TEST_PLATFORM";

export const PLATFORM: Platform = platformNamed(process.env[PLATFORM_VARIABLE] ?? "native");

/** Whether another program stands in for the kernel: what that one lacks says nothing about the platform itself. */
export const IS_EMULATED = PLATFORM === "qemu-user" || PLATFORM === "wine";

/** Why something does not work, by the platform or the operating system (`process.platform`) on which it does not. */
export type Gaps = Readonly<Partial<Record<Platform | NodeJS.Platform, string>>>;

/** The reason that applies here, or null if none does. */
export function gap(gaps: Gaps): string | null {
  return gaps[PLATFORM] ?? gaps[process.platform] ?? null;
}

/** The reason of tests that type-check what users write. */
export const TYPES_CHECKED_NATIVELY = IS_EMULATED
  ? "types are the same on every processor: linux-x64 checks them"
  : null;

/** The reason of tests that do something a million times. */
export const NO_MILLIONS = IS_EMULATED
  ? "a million rounds are the same on every processor, and take minutes here"
  : null;

/** `test`; with a reason, one that skips and says why. */
export function testUnless(reason: string | null): typeof test {
  return reason === null ? test : (withReason(test.skip, reason) as unknown as typeof test);
}

/** `describe`; with a reason, one whose tests all skip, one by one, and say why. */
export function describeUnless(reason: string | null): typeof describe {
  return reason === null ? describe : (withReason(describe.skip, reason) as unknown as typeof describe);
}

/** The same function with the reason behind the names that it is given, and its `each` likewise. */
function withReason(register: Registers, reason: string): Registers {
  return new Proxy(register, {
    apply: (target, self, [label, ...rest]: [unknown, ...unknown[]]) =>
      Reflect.apply(target, self, [typeof label === "string" ? `${label} [skipped: ${reason}]` : label, ...rest]),
    get: (target, property) =>
      property === "each" ? (table: never) => withReason(target.each(table), reason) : Reflect.get(target, property),
  });
}

/** What `test.skip` and `describe.skip` have in common. */
interface Registers {
  (...args: never[]): unknown;
  each(table: never): Registers;
}

function platformNamed(name: string): Platform {
  const platform = PLATFORMS.find((known) => known === name);
  if (platform === undefined)
    throw new Error(`$${PLATFORM_VARIABLE} is ${name}, but must be one of ${PLATFORMS.join(", ")}`);
  return platform;
}

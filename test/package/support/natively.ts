/** What the tests of this folder are written with: where Bun runs under an emulator they skip, and nothing is packed for them. */

import { afterAll as afterAllTests, beforeAll as beforeAllTests } from "bun:test";
import { describeUnless, IS_EMULATED, testUnless } from "../../support/platform.ts";

const REASON = IS_EMULATED ? "packing and bundling do not depend on the processor: linux-x64 tests them" : null;

export const describe = describeUnless(REASON);
export const test = testUnless(REASON);
export const beforeAll: typeof beforeAllTests = REASON === null ? beforeAllTests : () => {};
export const afterAll: typeof afterAllTests = REASON === null ? afterAllTests : () => {};

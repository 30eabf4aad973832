/** Limits that only a test that hangs meets: where everything takes longer, so may a test. */

/** How many times longer than natively; `bun run test:platforms` sets it. */
const PATIENCE = Number(process.env["BUN_REACTOR_TEST_PATIENCE"] ?? "1");
if (!(PATIENCE >= 1)) throw new Error(`$BUN_REACTOR_TEST_PATIENCE must be 1 or more, and is ${PATIENCE}`);

export function patient(limitMs: number): number {
  return limitMs * PATIENCE;
}

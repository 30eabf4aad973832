// Loaded before every program that Bun runs under an emulator, by BUN_OPTIONS.

// What starts this Bun is not its own file, which the kernel cannot run.
const bun = process.env["BUN_REACTOR_TEST_BUN"];
if (bun !== undefined) process.execPath = bun;

// To translate code for the first time takes an emulator longer than a task should keep the thread, and tests look at all
// that a program complains of.
const { emitWarning } = process;
process.emitWarning = ((warning: string | Error, ...rest: []) => {
  if (!/ kept the thread for \d+ ms /.test(String(warning))) emitWarning.call(process, warning, ...rest);
}) as typeof process.emitWarning;

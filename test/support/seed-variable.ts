/** Sets `SEED` for a part of a test, whatever the environment of the tests has. */

export async function withSeedVariable<T>(value: string | undefined, act: () => Promise<T>): Promise<T> {
  const before = process.env["SEED"];
  set(value);
  try {
    return await act();
  } finally {
    set(before);
  }
}

function set(value: string | undefined): void {
  if (value === undefined) delete process.env["SEED"];
  else process.env["SEED"] = value;
}

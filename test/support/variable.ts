/** Variables of the environment, for programs that a test starts. */

/** Sets one, or removes it; at the end of a `using` block it is as it was before. */
export function withVariable(name: string, value: string | undefined): Disposable {
  const before = process.env[name];
  const set = (text: string | undefined): void => {
    if (text === undefined) delete process.env[name];
    else process.env[name] = text;
  };
  set(value);
  return { [Symbol.dispose]: () => set(before) };
}

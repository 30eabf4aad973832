/** What a platform's tests need and this machine does not have: no failure, but the reason for which they are skipped. */
export class MissingError extends Error {
  override readonly name = "MissingError";
}

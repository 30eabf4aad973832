// Lines of a stream, one at a time: the hand-shakes of the bench programs are lines.

export class LineReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The next line without its end; the rest when the stream ends without one; then undefined. */
  async next(): Promise<string | undefined> {
    let end: number;
    while ((end = this.#text.indexOf("\n")) < 0) {
      const chunk = await this.#chunks.next();
      if (chunk.done === true) return this.#takeRest();
      this.#text += this.#decoder.decode(chunk.value, { stream: true });
    }
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line;
  }

  #takeRest(): string | undefined {
    const rest = this.#text;
    this.#text = "";
    return rest === "" ? undefined : rest;
  }
}

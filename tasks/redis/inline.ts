/** Requests that a person types, in a line: `SET greeting "hello, world"`. */

import { ProtocolError } from "./protocol.ts";

/**
 * The words of a line. Blanks part them; quotes, up to the end of a word, hold blanks together. In `"…"` there are escapes such as
 * `\n` and `\x00`, in `'…'` only `\'` is one.
 * @throws ProtocolError if a quote is not closed, or if something follows it at once
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (BLANKS.has(line[at])) at++;
    if (at === line.length) return words;
    WORD.lastIndex = at;
    const match = WORD.exec(line);
    if (match === null) throw new ProtocolError("unbalanced quotes in request");
    const [, plain = "", double = "", single = ""] = match;
    words.push(plain + double.replace(ESCAPE, unescaped) + single.replaceAll("\\'", "'"));
    at = WORD.lastIndex;
  }
}

function unescaped(_whole: string, escape: string): string {
  if (escape.length === 3) return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return CONTROL_CHARACTERS[escape] ?? escape;
}

const BLANKS: ReadonlySet<string | undefined> = new Set(" \t\n\v\f\r");

/** Characters that are neither blanks nor quotes, then perhaps something in quotes, and then a blank or the end. */
const WORD = /([^ \t\n\v\f\r"']*)(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')?(?=[ \t\n\v\f\r]|$)/sy;

const ESCAPE = /\\(x[0-9a-fA-F]{2}|.)/gs;
const CONTROL_CHARACTERS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

/** Requests that a person types, in a line: `SET greeting "hello, world"`. */

import { ProtocolError } from "./protocol.ts";

/**
 * The words of a line. Blanks part them; quotes hold them together: in `"…"` are escapes such as `\n` and `\x00`, in `'…'` only
 * `\'` is one.
 * @throws ProtocolError if a quote is not closed, or if something follows it at once
 */
export function splitWords(line: string): string[] {
  if (!/["']/.test(line)) return line.split(/\s+/).filter((word) => word !== "");
  const words: string[] = [];
  const pattern = /\s*(?:"(?<double>(?:[^"\\]|\\.)*)"|'(?<single>(?:[^'\\]|\\.)*)'|(?<plain>[^\s"']+))(?=\s|$)|\s+$/gsy;
  while (pattern.lastIndex < line.length) {
    const groups = pattern.exec(line)?.groups;
    if (groups === undefined) throw new ProtocolError("unbalanced quotes in request");
    const { double, single, plain } = groups;
    if (double !== undefined)
      words.push(double.replace(/\\(x[0-9a-f]{2}|.)/gis, (_, escape: string) => unescaped(escape)));
    else if (single !== undefined) words.push(single.replaceAll("\\'", "'"));
    else if (plain !== undefined) words.push(plain);
  }
  return words;
}

function unescaped(escape: string): string {
  if (escape.length === 3) return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return CONTROL_CHARACTERS[escape] ?? escape;
}

const CONTROL_CHARACTERS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

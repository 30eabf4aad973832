/**
 * Strings of bytes, of which the short ones are kept for a while.
 *
 * Facts. Commands and keys are short, and the same ones come again and again. A string that is made of bytes costs memory, and
 * each look-up of a new string in a map reads all of it, because its hash is not known yet.
 *
 * Decision. A short string is looked for by its bytes among those that came lately, and made only if it is not there. There is
 * one place for each hash, so a string is kept until another needs its place.
 */

export function textOf(data: Buffer, from: number, to: number): string {
  const length = to - from;
  if (length > LONGEST_KEPT_BYTES) return data.toString("latin1", from, to);
  let hash = length;
  for (let at = from; at < to; at++) hash = (Math.imul(hash, FACTOR) + data[at]!) | 0;
  const place = (hash ^ (hash >>> HALF_BITS)) & (PLACES - 1);
  const found = kept[place]!;
  if (found.length === length && isSame(found, data, from)) return found;
  const text = data.toString("latin1", from, to);
  kept[place] = text;
  return text;
}

function isSame(text: string, data: Buffer, from: number): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== data[from + index]) return false;
  }
  return true;
}

/** Beyond it the native call is faster. */
const LONGEST_KEPT_BYTES = 32;

/** Some hundred kilobytes at the most. A power of two. */
const PLACES = 4_096;

/** Odd, so that each byte changes the hash; as hashes of strings usually have it. */
const FACTOR = 31;
const HALF_BITS = 16;

const kept = Array.from({ length: PLACES }, () => "");

/**
 * Whether a key matches a pattern as Redis has it: `*` stands for any characters, `?` for one, `[a-c]` and `[^a-c]` for one of them
 * or one of the others, and `\` takes away the meaning of what follows.
 */
export function matchesGlob(text: string, pattern: string): boolean {
  let at = 0;
  let place = 0;
  // Of the last star that was met: what comes after it, and where it ends in the text. Only the last can be wrong about that.
  let afterStar = -1;
  let starEnd = 0;
  while (at < text.length || place < pattern.length) {
    if (pattern[place] === "*") {
      afterStar = ++place;
      starEnd = at;
      continue;
    }
    const next = at < text.length && place < pattern.length ? matchOne(text[at]!, pattern, place) : NO_MATCH;
    if (next !== NO_MATCH) {
      at++;
      place = next;
    } else if (afterStar !== -1 && starEnd < text.length) {
      at = ++starEnd;
      place = afterStar;
    } else return false;
  }
  return true;
}

/** The place in the pattern behind what matches the character; NO_MATCH if it does not. */
function matchOne(character: string, pattern: string, place: number): number {
  if (pattern[place] === "?") return place + 1;
  if (pattern[place] === "[") return matchSet(character, pattern, place + 1);
  if (pattern[place] === "\\" && place + 1 < pattern.length) place++;
  return pattern[place] === character ? place + 1 : NO_MATCH;
}

function matchSet(character: string, pattern: string, place: number): number {
  const isNegated = pattern[place] === "^";
  if (isNegated) place++;
  let isIn = false;
  while (place < pattern.length && pattern[place] !== "]") {
    if (pattern[place] === "\\" && place + 1 < pattern.length) place++;
    const first = pattern[place++]!;
    let last = first;
    if (pattern[place] === "-" && place + 1 < pattern.length) {
      last = pattern[place + 1]!;
      place += 2;
    }
    if ((first <= character && character <= last) || (last <= character && character <= first)) isIn = true;
  }
  return isIn === isNegated ? NO_MATCH : place + 1;
}

const NO_MATCH = -1;

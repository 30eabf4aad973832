// Command line arguments of the benches, and of the servers that they start: `--rounds 5 --only run,bun-listen --quick`.

import { parseArgs } from "node:util";

type Kind = "text" | "number" | "numbers" | "words" | "flag";

type ValueOf<K extends Kind> = K extends "text"
  ? string
  : K extends "number"
    ? number
    : K extends "numbers"
      ? readonly number[]
      : K extends "words"
        ? readonly string[]
        : boolean;

export type Arguments<Kinds extends Record<string, Kind>> = { readonly [Name in keyof Kinds]?: ValueOf<Kinds[Name]> };

/**
 * The arguments given, by name; those not given are absent. A wrong one ends the program with exit code 1 and says which
 * there are.
 *
 * @param kinds what each argument takes: "numbers" and "words" are lists separated by commas, "flag" takes nothing.
 */
export function parseArguments<const Kinds extends Record<string, Kind>>(kinds: Kinds): Arguments<Kinds> {
  try {
    const options = Object.fromEntries(
      Object.entries(kinds).map(([name, kind]) => [name, { type: kind === "flag" ? "boolean" : "string" } as const]),
    );
    const { values } = parseArgs({ args: process.argv.slice(2), options, strict: true, allowPositionals: false });
    return Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, convert(name, kinds[name] ?? "flag", value)]),
    ) as Arguments<Kinds>;
  } catch (error) {
    const known = Object.entries(kinds).map(([name, kind]) => (kind === "flag" ? `--${name}` : `--${name} ${kind}`));
    console.error(`${error instanceof Error ? error.message : String(error)}\nKnown arguments: ${known.join(", ")}`);
    process.exit(1);
  }
}

/** Ends the program with exit code 1 unless every word is one of `known`. */
export function checkWords(name: string, words: readonly string[], known: readonly string[]): void {
  const unknown = words.filter((word) => !known.includes(word));
  if (unknown.length === 0) return;
  console.error(`--${name}: there is no ${unknown.join(", ")}; known are ${known.join(", ")}`);
  process.exit(1);
}

/** Those of `known` that were given, in its order; all if none was. Ends the program likewise. */
export function chosenAmong<Word extends string>(
  name: string,
  words: readonly string[] | undefined,
  known: readonly Word[],
): readonly Word[] {
  if (words === undefined) return known;
  checkWords(name, words, known);
  return known.filter((word) => words.includes(word));
}

function convert(name: string, kind: Kind, value: unknown): string | number | boolean | string[] | number[] {
  if (kind === "flag" || typeof value !== "string") return value === true;
  if (kind === "text") return value;
  if (kind === "words") return value.split(",");
  if (kind === "numbers") return value.split(",").map((part) => toNumber(name, part));
  return toNumber(name, value);
}

function toNumber(name: string, value: string): number {
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number) || number < 0) {
    throw new Error(`--${name} must be a number that is not negative, not ${JSON.stringify(value)}`);
  }
  return number;
}

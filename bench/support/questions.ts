// Benches that ask several questions about one thing. Each question has its contenders, of which the first is this
// package's own; the answer is what one operation costs each of them.

import { parseArguments, checkWords } from "./arguments.ts";
import { compare, type Compared, printCompared } from "./compare.ts";
import type { Contender } from "./contender-process.ts";
import { printGoals } from "./goals.ts";
import { warnIfBusy } from "./machine.ts";
import { writeResults, type Goal } from "./results.ts";

export interface Question {
  /** What `--only` calls it. */
  readonly name: string;
  /** The operation, as the head of the table. */
  readonly title: string;
  readonly contenders: readonly Contender[];
}

export interface Answer extends Question {
  readonly compared: readonly Compared[];
}

/**
 * Runs a bench: measures and prints the answers, then the goals, if it has any, and writes both. The command line may
 * choose questions and the length of it all: `--only "one task" --rounds 15 --turn-ms 100`, `--quick`.
 */
export async function ask(
  bench: string,
  questions: readonly Question[],
  goalsOf: (answers: readonly Answer[]) => Goal[] = () => [],
): Promise<void> {
  const given = parseArguments({ rounds: "number", "turn-ms": "number", only: "words", quick: "flag" });
  const rounds = given.rounds ?? (given.quick === true ? QUICK_ROUNDS : ROUNDS);
  const turnMs = given["turn-ms"] ?? (given.quick === true ? QUICK_TURN_MS : TURN_MS);
  const chosen = choose(questions, given.only);
  await warnIfBusy();
  const answers: Answer[] = [];
  for (const question of chosen) {
    const compared = await compare(bench, question.contenders, { rounds, turnMs });
    console.log();
    printCompared(question.title, compared);
    answers.push({ ...question, compared });
  }
  const goals = goalsOf(answers);
  if (goals.length > 0) {
    console.log();
    printGoals(goals);
  }
  writeResults(bench, answers, goals);
}

/** What was measured for a question; undefined if it was left out. */
export function answerTo(name: string, answers: readonly Answer[]): readonly Compared[] | undefined {
  return answers.find((answer) => answer.name === name)?.compared;
}

function choose(questions: readonly Question[], only: readonly string[] | undefined): readonly Question[] {
  if (only === undefined) return questions;
  checkWords(
    "only",
    only,
    questions.map(({ name }) => name),
  );
  return questions.filter(({ name }) => only.includes(name));
}

const ROUNDS = 11;
const QUICK_ROUNDS = 3;
/** Long enough for the garbage of a turn to be collected within it. */
const TURN_MS = 60;
const QUICK_TURN_MS = 20;

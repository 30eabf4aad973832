// Goals: how they are set, and how they are printed, each with its figure, its limit and whether it was met.

import { isMet, type Goal } from "./results.ts";
import { formatNumber, printTable } from "./table.ts";

export function printGoals(goals: readonly Goal[]): void {
  printTable<Goal>(
    [
      { title: "goal", value: ({ what }) => what },
      { title: "measured", value: ({ value, unit }) => (value === undefined ? "not measured" : amount(value, unit)) },
      {
        title: "must be",
        value: ({ limit, relation, unit }) => `${relation === "at most" ? "≤" : "≥"} ${amount(limit, unit)}`,
      },
      { title: "", value: (goal) => verdict(isMet(goal)) },
    ],
    goals,
  );
}

/** A figure that must not be above the limit; a ratio unless another unit is given. */
export function atMost(limit: number, what: string, value: number | undefined, unit = "×"): Goal {
  return { what, limit, relation: "at most", value, unit };
}

/** A figure that must not be below the limit; a ratio unless another unit is given. */
export function atLeast(limit: number, what: string, value: number | undefined, unit = "×"): Goal {
  return { what, limit, relation: "at least", value, unit };
}

function amount(value: number, unit: string): string {
  return unit === "×" ? `${formatNumber(value)} ×` : `${formatNumber(value)} ${unit}`.trimEnd();
}

function verdict(met: boolean | undefined): string {
  if (met === undefined) return "–";
  return met ? "met" : "missed";
}

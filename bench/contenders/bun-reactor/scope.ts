// Scopes of this package.

import { join, run, scope, type Scope, yieldNow } from "../../../src/index.ts";
import type { Jobs } from "../jobs.ts";
import { measureCost } from "../measure.ts";

export const jobs: Jobs = {
  empty: (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* scope(child);
      }),
    ),

  "ten children": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* scope(spawnTen);
      }),
    ),

  "ten that yield": (count) =>
    measureCost(() =>
      run(function* () {
        for (let index = 0; index < count; index++) yield* scope(spawnTenThatYield);
      }),
    ),

  "spawn and join": (count) =>
    measureCost(() =>
      run(() =>
        scope(function* (inside) {
          for (let index = 0; index < count; index++) yield* join(yield* inside.spawn(child));
        }),
      ),
    ),
};

const CHILDREN = 10;

function* spawnTen(inside: Scope) {
  for (let index = 0; index < CHILDREN; index++) yield* inside.spawn(child);
}

function* spawnTenThatYield(inside: Scope) {
  for (let index = 0; index < CHILDREN; index++) yield* inside.spawn(yieldingChild);
}

function* child() {
  return 1;
}

function* yieldingChild() {
  yield* yieldNow();
  return 1;
}

/** A project with the strictest settings of TypeScript: nothing in the package's declarations offends them. */

import { expect, setDefaultTimeout } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "./support/natively.ts";
import { Project } from "./support/project.ts";
import { PACK_LIMIT_MS, PROGRAMS_LIMIT_MS } from "./support/tarball.ts";

setDefaultTimeout(PROGRAMS_LIMIT_MS);

const STRICTEST = {
  target: "ESNext",
  lib: ["ESNext"],
  types: ["bun"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noUncheckedSideEffectImports: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  isolatedDeclarations: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  declaration: true,
  emitDeclarationOnly: true,
  skipLibCheck: false,
};

/** Says the type of all that it exports, as isolatedDeclarations demands: everything must have a name. */
const PROGRAM = `
import {
  type ByteStream, Channel, connect, type ConnectOptions, each, Executor, type ExecutorOptions, type Guard, join, listen, Mutex,
  type Operation, race, Reactor, run, type RunOptions, scope, type Scope, select, sleep, spawn, SystemError,
  type SystemErrorFacts, type Task, type TaskBody, TcpListener, type TcpStream, timeout,
} from "bun-reactor";
import { underSeeds, type UnderSeedsOptions, virtualTime, VirtualWorld } from "bun-reactor/test";

export function* echo(stream: ByteStream): Operation<number> {
  const buffer: Uint8Array = new Uint8Array(1024);
  const length: number = yield* stream.read(buffer);
  yield* stream.write(buffer, 0, length);
  return length;
}

export function* serve(options: ConnectOptions, mutex: Mutex): Operation<void> {
  using listener: TcpListener = yield* listen({ host: "127.0.0.1", port: 0 });
  const task: Task<number> = yield* spawn(function* child() { return 1; });
  const connection: TcpStream = yield* timeout(100, connect(options));
  using guard: Guard = yield* mutex.lock();
  const first: number | string = yield* race([join(task), function* () { return "text"; }]);
  const value: number = yield* scope(function* (own: Scope) { void own; return yield* echo(connection); });
  console.log(first, value, guard, listener);
}

export function failure(facts: SystemErrorFacts): SystemError { return new SystemError(facts); }
export function machine(options: ExecutorOptions): Executor { return new Executor(new Reactor(), options); }
export function start<T>(body: TaskBody<T>, options?: RunOptions): Promise<T> { return run(body, options ?? {}); }

export function* lines(channel: Channel<string>): Operation<void> {
  for (const line of yield* each(channel)) {
    const text: string = line;
    console.log(text);
    yield* each.next();
  }
}

export const world: VirtualWorld = new VirtualWorld();
export const options: UnderSeedsOptions = {};
export const tests: (() => unknown)[] = [() => virtualTime(() => sleep(1)), () => underSeeds(2, () => sleep(1), options)];
export const selected: typeof select = select;

// @ts-expect-error A forgotten star does not compile.
export function* forgotten(): Operation<void> { yield sleep(1); }
// @ts-expect-error There is no such option.
export const wrong: Promise<void> = run(() => sleep(1), { lingerMs: 1 });
`;

let project: Project;

beforeAll(async () => {
  project = await Project.install();
  project.link("@types/bun", "@types/node", "bun-types", "undici-types", "typescript", "@typescript");
  project.write("program.ts", PROGRAM);
  project.write("everything.ts", `export * from "bun-reactor";\nexport * as kit from "bun-reactor/test";\n`);
}, PACK_LIMIT_MS);
afterAll(() => project[Symbol.dispose]());

test.each([
  ["NodeNext", "NodeNext"],
  ["Preserve", "bundler"],
])("the strictest project compiles: module %s, moduleResolution %s", async (module, moduleResolution) => {
  const compilerOptions = { ...STRICTEST, module, moduleResolution, outDir: "types" };
  project.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["program.ts", "everything.ts"] }));
  const { exitCode, stdout } = await project.bun(["x", "--no-install", "tsc", "--project", "."]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
});

test("declarations say `any` nowhere, and import files that are there", () => {
  const folder = join(project.folder, "node_modules/bun-reactor/dist");
  const files = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".d.ts"));
  expect(files.length).toBeGreaterThan(50);
  for (const file of files) {
    const code = readFileSync(join(folder, file), "utf8").replaceAll(/\/\*[^]*?\*\//g, "");
    expect({ file, any: /[:<,|&=]\s*any\b(?!\()/.exec(code)?.[0] }).toEqual({ file, any: undefined });
    expect({ file, source: /from "\.[^"]*\.ts"/.exec(code)?.[0] }).toEqual({ file, source: undefined });
  }
});

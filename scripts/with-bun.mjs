// Runs Bun with the arguments given, on a machine that need not have Bun yet:
//
//     node scripts/with-bun.mjs test
//     node scripts/with-bun.mjs tasks/tour.ts
//
// It finds Bun or installs the pinned version into `.bun/`, installs the dependencies, builds the native library, and
// then becomes the program: same terminal, same signals, same exit code. What is already done is not done again, and
// says nothing. Without arguments it only sets things up. It runs on Node.js and on Bun, with no package installed.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { constants } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BUILD_SCRIPT = "scripts/build-native.ts";

// Commands of Bun's own that run nothing of this package, and so need no native library.
const TOOLS = new Set([
  "add",
  "check",
  "fmt",
  "install",
  "outdated",
  "pm",
  "remove",
  "update",
  "x",
  "--help",
  "--version",
]);

/** What stands in the way of the set-up, and what to do about it. */
class SetupError extends Error {}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}

function main(programArguments) {
  const version = pinnedVersion();
  const bun = findBun(version) ?? installBun(version);
  // What the program starts as `bun` must be this Bun too.
  const environment = { ...process.env, PATH: dirname(bun) + delimiter + (process.env.PATH ?? "") };
  installDependencies(bun, environment);
  if (needsNativeLibrary(programArguments)) {
    runStep(bun, [BUILD_SCRIPT], environment, "The native library could not be built; the reason is above.");
  }
  if (programArguments.length > 0) runProgram(bun, programArguments, environment);
}

/** The Bun version of this project: package.json's `packageManager` field is the only place that names it. */
function pinnedVersion() {
  const { packageManager } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const match = /^bun@(\d+\.\d+\.\d+)$/.exec(packageManager ?? "");
  if (match === null) {
    throw new SetupError(
      `package.json: "packageManager" is ${JSON.stringify(packageManager)}; it must name Bun's version, as in "bun@1.4.5".`,
    );
  }
  return match[1];
}

function findBun(version) {
  if (process.versions.bun !== undefined && isAtLeast(process.versions.bun, version)) {
    // Bun stands in for a missing `node` by a link of that name, and behaves like Node.js under it.
    return realpathSync(process.execPath);
  }
  return findOnPath(version) ?? findInstalled(version);
}

function findOnPath(version) {
  const name = process.platform === "win32" ? "bun.exe" : "bun";
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const candidate = join(folder, name);
    if (folder !== "" && existsSync(candidate) && isAtLeast(versionOf(candidate), version)) return candidate;
  }
  return undefined;
}

function findInstalled(version) {
  // npm puts the program itself into a package named after the platform, and more than one of them where it does not
  // tell C libraries apart: the one that runs is the right one.
  const modules = join(ROOT, ".bun", version, "node_modules");
  const platforms = existsSync(join(modules, "@oven")) ? readdirSync(join(modules, "@oven")).sort() : [];
  const candidates = platforms.flatMap((platform) => {
    const folder = join(modules, "@oven", platform, "bin");
    return [join(folder, "bun"), join(folder, "bun.exe")];
  });
  return candidates.find((candidate) => existsSync(candidate) && versionOf(candidate) === version);
}

/** What `--version` prints, or undefined if the program does not run on this machine. */
function versionOf(program) {
  const { status, stdout } = spawnSync(program, ["--version"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.trim() : undefined;
}

function isAtLeast(version, wanted) {
  if (!/^\d+\.\d+\.\d+/.test(version ?? "")) return false;
  const found = version.split(/[.-]/).map(Number);
  const needed = wanted.split(".").map(Number);
  const index = needed.findIndex((part, position) => part !== found[position]);
  return index === -1 || found[index] > needed[index];
}

/**
 * Installs Bun from npm into `.bun/<version>/`. It is installed beside its place and moved there in one step, so that
 * neither an interrupt nor a second process that does the same can leave half of a Bun.
 */
function installBun(version) {
  say(`installing Bun ${version} from npm into .bun/`);
  const folder = join(ROOT, ".bun", version);
  const unfinished = `${folder}.${process.pid}.tmp`;
  mkdirSync(unfinished, { recursive: true });
  removeLeftovers(dirname(folder));
  try {
    installWithNpm(version, unfinished);
    putInPlace(unfinished, folder, version);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  const bun = findInstalled(version);
  if (bun === undefined) {
    throw new SetupError(
      `npm installed Bun ${version}, but it holds no program that runs on ${process.platform} ${process.arch}.\n` +
        `Install Bun ${version} or newer in another way (https://bun.com/docs/installation), see that \`bun\` is on the ` +
        "PATH, and run this again.",
    );
  }
  return bun;
}

/** Removes what interrupted installs have left: the folders named after a process that is no more. */
function removeLeftovers(folder) {
  for (const name of readdirSync(folder)) {
    const processId = /\.(\d+)\.tmp$/.exec(name)?.[1];
    if (processId !== undefined && !isAlive(Number(processId)))
      rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function isAlive(processId) {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function installWithNpm(version, folder) {
  // No scripts: npm may be told to refuse them, and the platform's package is complete without its own.
  const options = [
    "--no-save",
    "--no-package-lock",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--include=optional",
  ];
  const argumentsOfNpm = ["install", "--prefix", folder, ...options, `bun@${version}`];
  const { error, status, signal } = spawnNpm(argumentsOfNpm);
  if (error?.code === "ENOENT") {
    throw new SetupError(
      `this project needs Bun ${version} or newer. There is none on the PATH, and no npm to install it with.\n` +
        "Install Bun (https://bun.com/docs/installation), or Node.js with npm, and run this again.",
    );
  }
  if (signal !== null) endBySignal(signal);
  if (error !== undefined || status !== 0) {
    throw new SetupError(
      `npm could not install Bun ${version} (${error?.message ?? `exit code ${status}`}); what it said is above.\n` +
        "Is the network up, and does `npm ping` answer? Without a network, install Bun " +
        `${version} or newer in another way (https://bun.com/docs/installation), see that \`bun\` is on the PATH, and run this again.`,
    );
  }
}

function spawnNpm(argumentsOfNpm) {
  // npm tells the scripts that it runs where its own program is; that one is there even if the PATH has none.
  const npm = process.env.npm_execpath ?? "";
  const isNpm = basename(npm) === "npm-cli.js" && process.versions.bun === undefined;
  if (isNpm) return spawnSync(process.execPath, [npm, ...argumentsOfNpm], { cwd: ROOT, stdio: ["ignore", 2, 2] });
  // On Windows npm is a batch file, which only a shell runs.
  return spawnSync("npm", argumentsOfNpm, { cwd: ROOT, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
}

function putInPlace(unfinished, folder, version) {
  // A Bun is there that another process has just finished, or one that does not run here and is replaced.
  if (findInstalled(version) !== undefined) return;
  rmSync(folder, { recursive: true, force: true });
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    if (findInstalled(version) === undefined) throw error;
  }
}

/** Installs the dependencies, unless those of this very lock file are installed already. */
function installDependencies(bun, environment) {
  const stamp = join(ROOT, "node_modules", ".installed-from");
  const wanted = fingerprint(["bun.lock", "package.json"]);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  say("installing the dependencies");
  runStep(
    bun,
    ["install", "--frozen-lockfile"],
    environment,
    "The dependencies could not be installed; the reason is above. Is the network up? " +
      "If package.json was changed, run `bun install` once to bring bun.lock up to date.",
  );
  writeFileSync(stamp, wanted);
}

function fingerprint(files) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(join(ROOT, file)));
  return hash.digest("hex");
}

function needsNativeLibrary([command]) {
  return command !== BUILD_SCRIPT && !TOOLS.has(command);
}

/** Runs one step of the set-up. Its output goes to stderr: stdout belongs to the program. */
function runStep(program, argumentsOfProgram, environment, explanation) {
  const { error, status, signal } = spawnSync(program, argumentsOfProgram, {
    cwd: ROOT,
    env: environment,
    stdio: ["ignore", 2, 2],
  });
  if (signal !== null) endBySignal(signal);
  if (error !== undefined) throw new SetupError(`${error.message}\n${explanation}`);
  if (status !== 0) throw new SetupError(explanation);
}

/** Runs the program and ends as it ends. */
function runProgram(bun, programArguments, environment) {
  const child = spawn(bun, programArguments, { cwd: ROOT, env: environment, stdio: "inherit" });
  // A terminal sends ^C to every process in the foreground, to the child too: a second SIGINT from here would cut short
  // what the child does about the first. Without a terminal nobody but this process has got it.
  process.on("SIGINT", () => {
    if (!hasTerminal()) child.kill("SIGINT");
  });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("error", (error) => {
    say(`${bun} could not be started: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal !== null) endBySignal(signal);
    process.exit(code);
  });
}

function hasTerminal() {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/** Ends this process by a signal, so that whoever waits for it sees the same end as of the child. */
function endBySignal(signal) {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // Still here: the signal is ignored by inheritance. Shells report such an end in this way.
  process.exit(128 + constants.signals[signal]);
}

function say(text) {
  process.stderr.write(`bun-reactor: ${text}\n`);
}

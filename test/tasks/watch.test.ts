/** The watching program, with its command. */

import { expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isAlive } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { Program, runToEnd } from "./program.ts";
import { describeUnless } from "../support/platform.ts";
import { needs } from "../support/needs.ts";

describeUnless(needs("watching"))("watch", () => {
  test("prints what happens, in folders that are new as well, and ends with the folder", async () => {
    using folder = temporaryFolder();
    const root = join(folder.name, "root");
    mkdirSync(root);
    await using program = Program.start("watch.ts", "--folder", root);
    expect(await program.line()).toBe(`watching ${root}`);
    mkdirSync(join(root, "a"));
    expect(await program.line()).toBe(`created ${root}/a/`);
    mkdirSync(join(root, "a/b"));
    expect(await program.line()).toBe(`created ${root}/a/b/`);
    mkdirSync(join(root, ".git"));
    mkdirSync(join(root, "node_modules"));
    renameSync(join(root, "a/b"), join(root, "c"));
    expect(await program.line()).toBe(`renamed ${root}/a/b/ -> ${root}/c/`);
    rmSync(root, { recursive: true });
    const { exitCode, stdout, stderr } = await program.end();
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout.trimEnd().split("\n").toSorted()).toEqual(
      ["a/", "c/", ""].map((name) => `removed ${root}/${name}`).toSorted(),
    );
  });

  test("runs a command at once, again after a change, and ends the run before with all that it has started", async () => {
    using folder = temporaryFolder();
    const command = "sleep 1000 & echo $$ $!; wait";
    await using program = Program.start("watch.ts", "--folder", folder.name, "--run", command);
    await program.line();
    let before: number[] = [];
    for (let round = 0; round < 3; round++) {
      const processes = (await program.line()).split(" ").map(Number);
      expect(processes.map(isAlive)).toEqual([true, true]);
      expect(before.filter(isAlive)).toEqual([]);
      before = processes;
      mkdirSync(join(folder.name, `new${round}`));
    }
    const last = (await program.line()).split(" ").map(Number);
    program.signal("SIGINT");
    expect((await program.end()).exitCode).toBe(130);
    expect([...before, ...last].filter(isAlive)).toEqual([]);
  });

  test("tells how the command has ended, and waits on", async () => {
    using folder = temporaryFolder();
    await using program = Program.start("watch.ts", "--folder", folder.name, "--run", "echo run; exit 3");
    await program.line();
    for (let round = 0; round < 2; round++) {
      expect(await program.line()).toBe("run");
      expect(await program.line()).toBe("ended with exit code 3");
      mkdirSync(join(folder.name, `new${round}`));
    }
    expect(await program.line()).toBe("run");
    program.signal("SIGTERM");
    expect((await program.end()).exitCode).toBe(143);
  });

  test("a folder that is not there is told in a line", async () => {
    const { exitCode, stdout, stderr } = await runToEnd("watch.ts", "--folder", "/no/such/folder");
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toBe("watch ENOENT /no/such/folder: no such file or directory\n");
  });

  test("an empty command is refused with exit code 2", async () => {
    const { exitCode, stderr } = await runToEnd("watch.ts", "--run", "");
    expect(exitCode).toBe(2);
    expect(stderr).toStartWith("--run is empty\n");
  });

  test("an argument that it does not know is refused with exit code 2", async () => {
    const { exitCode, stderr } = await runToEnd("watch.ts", "--path", "src");
    expect(exitCode).toBe(2);
    expect(stderr).toContain("usage: bun tasks/watch.ts [--folder FOLDER] [--run COMMAND]");
  });
});

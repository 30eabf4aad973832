/** The chat, as a program, between guests that know nothing of this package. */

import { expect, test } from "bun:test";
import type { Socket } from "node:net";
import { connectTo } from "./peer.ts";
import { Program, runToEnd } from "./program.ts";
import { describeUnless } from "../support/platform.ts";
import { firstOf, NEEDS_QUICK_STARTS, NEEDS_SIGNALS } from "../support/needs.ts";

describeUnless(firstOf(NEEDS_SIGNALS, NEEDS_QUICK_STARTS))("chat", () => {
  test("passes each line on to all others, and tells who comes and goes", async () => {
    await using chat = Program.start("chat.ts");
    const port = await chat.port();
    const ann = await Guest.enter(port, "Ann");
    const bob = await Guest.enter(port, "Bob");
    expect(await ann.line()).toBe("* Bob has come");
    const eve = await Guest.enter(port, "Ève");
    for (const guest of [ann, bob]) expect(await guest.line()).toBe("* Ève has come");
    bob.say("hello\r\n\nhow are you?\n");
    for (const guest of [ann, eve]) {
      expect(await guest.line()).toBe("Bob: hello");
      expect(await guest.line()).toBe("Bob: how are you?");
    }
    ann.say("/who\n");
    for (const guest of [ann, bob, eve]) expect(await guest.line()).toBe("* there are: Ann, Bob, Ève");
    eve.say("/quit\n");
    expect(await eve.line()).toBeNull();
    for (const guest of [ann, bob]) expect(await guest.line()).toBe("* Ève has left");
    bob.socket.resetAndDestroy();
    expect(await ann.line()).toBe("* Bob has left");
  });

  test("wants a name that is one, and that nobody has", async () => {
    await using chat = Program.start("chat.ts");
    const port = await chat.port();
    await Guest.enter(port, "Ann");
    const guest = new Guest(await connectTo(port));
    expect(await guest.line()).toBe("What is your name?");
    for (const name of ["", "two words", "x".repeat(21), "\u001b[2J"]) {
      guest.say(`${name}\n`);
      expect(await guest.line()).toBe("A name has 1 to 20 letters or digits. What is yours?");
    }
    guest.say("Ann\n");
    expect(await guest.line()).toBe("Somebody is called Ann already. What else is your name?");
    guest.say("Anna\n");
    expect(await guest.line()).toBe("Hello Anna. There are: Ann, Anna");
  });

  test("takes away what could move somebody's cursor, and lets go of who writes lines without end", async () => {
    await using chat = Program.start("chat.ts");
    const port = await chat.port();
    const ann = await Guest.enter(port, "Ann");
    const bob = await Guest.enter(port, "Bob");
    await ann.line();
    bob.say("\u001b[2Jboo\u0007\n");
    expect(await ann.line()).toBe("Bob: [2Jboo");
    bob.say("x".repeat(5_000));
    expect(await bob.line()).toBe("* a line may have 1000 bytes");
    expect(await ann.line()).toBe("* Bob has left");
  });

  test("a guest that reads too slowly misses lines and is told so; the others miss none", async () => {
    await using chat = Program.start("chat.ts");
    const port = await chat.port();
    const slow = await Guest.enter(port, "Slow");
    const fast = await Guest.enter(port, "Fast");
    const loud = await Guest.enter(port, "Loud");
    expect(await fast.line()).toBe("* Loud has come");
    const text = "x".repeat(900);
    // Far more than the connections of the slow one hold.
    const count = 60_000;
    for (let sent = 0; sent < count; sent += 100) {
      const lines = Array.from({ length: 100 }, (_, index) => `${sent + index} ${text}\n`);
      loud.say(lines.join(""));
      for (let index = 0; index < 100; index++)
        expect((await fast.line())!.startsWith(`Loud: ${sent + index} `)).toBe(true);
    }
    loud.say("the end\n");
    let received = 0;
    let missed = 0;
    for (let line = await slow.line(); line !== "Loud: the end"; line = await slow.line()) {
      const note = /^\* you read too slowly: (\d+) lines are missing here$/.exec(line!);
      if (note !== null) missed += Number(note[1]);
      else if (line!.startsWith("Loud: ")) received++;
    }
    expect(missed).toBeGreaterThan(0);
    // The two lines that said who came may be among the missing ones.
    expect(count - received - missed).toBeWithin(-2, 1);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("says goodbye to all at %s, those at the door included", async (name) => {
    await using chat = Program.start("chat.ts");
    const port = await chat.port();
    const ann = await Guest.enter(port, "Ann");
    const stranger = new Guest(await connectTo(port));
    expect(await stranger.line()).toBe("What is your name?");
    chat.signal(name);
    expect(await ann.line()).toBe("* the chat closes");
    for (const guest of [ann, stranger]) {
      expect(await guest.line()).toBeNull();
      guest.socket.end();
    }
    expect(await chat.end()).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  });

  test("refuses arguments that are none with exit code 2", async () => {
    const { exitCode, stderr } = await runToEnd("chat.ts", "--port", "x");
    expect(exitCode).toBe(2);
    expect(stderr).toContain('--port must be a port from 0 to 65535, but is "x"');
  });
});

class Guest {
  private readonly lines: AsyncIterator<string>;

  constructor(readonly socket: Socket) {
    this.lines = linesOf(socket);
  }

  static async enter(port: number, name: string): Promise<Guest> {
    const guest = new Guest(await connectTo(port));
    expect(await guest.line()).toBe("What is your name?");
    guest.say(`${name}\n`);
    expect(await guest.line()).toStartWith(`Hello ${name}.`);
    return guest;
  }

  say(text: string): void {
    this.socket.write(text);
  }

  /** The next line; null at the end. */
  async line(): Promise<string | null> {
    const { value, done } = await this.lines.next();
    return done === true ? null : value;
  }
}

/** Nothing is read off the socket while nobody asks for a line. */
async function* linesOf(socket: Socket): AsyncGenerator<string, void, undefined> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of socket) {
    const lines = (rest + decoder.decode(chunk as Buffer, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

import { expect } from "bun:test";
import { membersByPs } from "../../src/native/process-system.ts";
import { gap, testUnless } from "../support/platform.ts";

const NO_PS = Bun.which("ps") === null ? "this machine has no ps" : gap({ win32: "win32 has no groups" });

testUnless(NO_PS)(
  "ps tells who is in a group, without those that have ended and whom nobody has asked for",
  async () => {
    // A shell that leads a group, with one child that runs and one that is a zombie: exec takes away who would wait for it.
    const script = "sh -c 'exit 0' & sleep 1000 & echo up; exec sleep 1001";
    const leader = Bun.spawn(["sh", "-c", script], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
    const reader = leader.stdout.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("up\n");
    let members = membersByPs(leader.pid);
    // Until the child that ends has ended.
    while (members.length > 2) members = membersByPs(leader.pid);
    process.kill(-leader.pid, "SIGKILL");
    await leader.exited;
    await reader.cancel();
    expect(members).toContain(leader.pid);
    expect(members).toHaveLength(2);
    expect(membersByPs(leader.pid)).not.toContain(leader.pid);
  },
);

testUnless(NO_PS)("a group that nobody is in has no members", () => {
  expect(membersByPs(2 ** 30)).toEqual([]);
});

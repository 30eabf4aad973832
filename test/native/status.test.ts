import { describe, expect, test } from "bun:test";
import { accessSync } from "node:fs";
import { SystemError } from "../../src/core/errors.ts";
import { errorOf, meaningOf } from "../../src/native/status.ts";
import { thrownBy } from "../support/failure.ts";
import { errno } from "../support/errno.ts";

describe("the error for an error number", () => {
  test("has the fields of Node.js's own errors", () => {
    const error = errorOf(-errno.ECONNREFUSED, "connect", { host: "127.0.0.1", port: 80 });
    expect(error).toBeInstanceOf(SystemError);
    expect(error).toMatchObject({
      code: "ECONNREFUSED",
      errno: -errno.ECONNREFUSED,
      syscall: "connect",
      address: "127.0.0.1",
      port: 80,
    });
    expect(error.message).toBe("connect ECONNREFUSED 127.0.0.1:80: connection refused");
  });

  test("writes an IPv6 address in brackets before a port", () => {
    expect(errorOf(-errno.ECONNREFUSED, "connect", { host: "::1", port: 80 }).message).toContain("[::1]:80");
  });

  test("has no address and no port if it is about none, as in Node.js", () => {
    const error = errorOf(-errno.EBADF, "epoll_ctl");
    expect("address" in error).toBe(false);
    expect("port" in error).toBe(false);
  });

  test("has the number that Node.js gives the same error", () => {
    const theirs = thrownBy(() => accessSync("/nonexistent")) as NodeJS.ErrnoException;
    const ours = errorOf(-errno.ENOENT, "access");
    expect({ code: ours.code, errno: ours.errno }).toEqual({ code: theirs.code!, errno: theirs.errno! });
  });

  test("that has no name is called by its number", () => {
    const error = errorOf(-9999, "frobnicate");
    expect(error.code).toBe("E9999");
    expect(error.message).toContain("9999");
  });
});

describe("the meaning of an error number", () => {
  test.each([
    ["EAGAIN", "wouldBlock"],
    ["EINPROGRESS", "inProgress"],
    ["ECONNABORTED", "brokenConnection"],
    ["EMFILE", "exhausted"],
    ["ENFILE", "exhausted"],
    ["ECONNRESET", "disconnected"],
    ["EPIPE", "disconnected"],
    ["EACCES", "other"],
    ["EINVAL", "other"],
  ] as const)("of %s is %s", (name, meaning) => {
    expect(meaningOf(-errno[name])).toBe(meaning);
  });
});

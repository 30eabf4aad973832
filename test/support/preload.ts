// Runs before the test files, so that a bare `bun test` finds an up-to-date native library.

import { buildNative } from "../../scripts/build-native.ts";
import { nativeLibrary } from "../../src/native/library.ts";
import { traceHandles } from "./opened-handles.ts";

// Whoever names a library has built it, for a platform on which Zig may not run.
if ((process.env["BUN_REACTOR_LIBRARY"] ?? "") === "") buildNative();

// The first warning of a process opens its standard error once more, for good: before any test looks at what is open.
void process.stderr.fd;

// Where a process cannot list what it has open, the library's calls are counted, before anything uses them.
if (process.platform !== "linux") traceHandles(nativeLibrary().functions);

// Runs before the test files, so that a bare `bun test` finds an up-to-date native library.

import { buildNative } from "../../scripts/build-native.ts";

buildNative();

// The first warning of a process opens its standard error once more, for good: before any test looks at what is open.
void process.stderr.fd;

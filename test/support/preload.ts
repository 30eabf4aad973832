// Runs before the test files, so that a bare `bun test` finds an up-to-date native library.

import { buildNative } from "../../scripts/build-native.ts";

buildNative();

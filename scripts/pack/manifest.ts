// The package.json of the package that users install. The one of the repository is for those who work on it.

import { SUPPORTED_PLATFORMS } from "../../src/native/library-file.ts";

/** The fields of the repository's package.json that the package has as they are. */
const TAKEN_OVER = ["name", "version", "description", "keywords", "license", "author", "engines"];

/** The text of package.json, from that of the repository. */
export function makeManifest(repositoryManifest: Readonly<Record<string, unknown>>): string {
  const same = Object.fromEntries(TAKEN_OVER.map((field) => [field, repositoryManifest[field]]));
  const platforms = SUPPORTED_PLATFORMS.map((platform) => platform.split("-"));
  const manifest = {
    ...same,
    os: [...new Set(platforms.map(([os]) => os))],
    cpu: [...new Set(platforms.map(([, cpu]) => cpu))],
    type: "module",
    sideEffects: false,
    exports: {
      ".": entry("index"),
      "./test": entry("test"),
      "./package.json": "./package.json",
    },
    bin: { "bun-reactor": "./dist/bin.js" },
    files: ["dist", "docs", "native"],
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** Bun and its bundler take the module; everybody else is told at once that it needs Bun. */
function entry(name: string): Record<string, string> {
  return { types: `./dist/${name}.d.ts`, bun: `./dist/${name}.js`, default: `./dist/${name}.needs-bun.js` };
}

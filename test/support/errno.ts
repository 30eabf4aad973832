/** The error numbers of the platform by their names, above zero: those that Node.js knows, and that results have negated. */

import { getSystemErrorMap } from "node:util";
import { constants } from "node:os";

const known = new Map([...getSystemErrorMap()].map(([number, [code]]) => [code, -number]));

export const errno = new Proxy({} as Readonly<Record<keyof typeof constants.errno, number>>, {
  get: (_none, name: keyof typeof constants.errno) => known.get(name) ?? constants.errno[name],
});

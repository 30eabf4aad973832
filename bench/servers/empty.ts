// A Bun program that does nothing, to be compared with the servers when they are idle. It stays for its signal's sake; the
// port is one that nobody listens on.

import { announce, collectGarbageOnRequest } from "./support.ts";

collectGarbageOnRequest();
/** The longest delay that a timer takes: 2^31 - 1 ms. */
setTimeout(() => {}, 2_147_483_647);
announce(0);

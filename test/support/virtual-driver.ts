export { hostTurn } from "../../src/testing/host-turn.ts";
export { VirtualDriver } from "../../src/testing/virtual-driver.ts";
export { settled } from "./settled.ts";

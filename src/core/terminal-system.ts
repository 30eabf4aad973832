/** Calls on terminals: a part of the `System`. They never block, and return a negated error number if they fail. */

/** Everything that is set of a terminal, as the system keeps it: to be put back later, as a whole. */
export type TerminalMode = Uint8Array;

/** By the numbers that `zig/src/terminal.zig` has. */
export const Parity = { NONE: 0, EVEN: 1, ODD: 2, MARK: 3, SPACE: 4 } as const;
export type Parity = (typeof Parity)[keyof typeof Parity];

/** Who may stop the other side, likewise. */
export const FlowControl = { NONE: 0, HARDWARE: 1, SOFTWARE: 2 } as const;
export type FlowControl = (typeof FlowControl)[keyof typeof FlowControl];

/** How bytes go over a serial line. */
export interface Line {
  readonly baud: number;
  readonly dataBits: number;
  readonly parity: Parity;
  readonly stopBits: number;
  readonly flowControl: FlowControl;
}

/** How much a terminal shows. */
export interface WindowSize {
  /** In characters. */
  readonly columns: number;
  /** In characters. */
  readonly rows: number;
  /** 0 if it is unknown. */
  readonly widthPixels?: number | undefined;
  /** 0 if it is unknown. */
  readonly heightPixels?: number | undefined;
}

/** The lines of a serial port beside those for data, as flags, likewise. */
export const ModemLine = {
  DATA_TERMINAL_READY: 1,
  REQUEST_TO_SEND: 2,
  CLEAR_TO_SEND: 4,
  DATA_SET_READY: 8,
  CARRIER_DETECT: 16,
  RING_INDICATOR: 32,
} as const;

/** What the system holds between the program and the line, likewise. */
export const Queued = { RECEIVED: 0, UNSENT: 1, BOTH: 2 } as const;
export type Queued = (typeof Queued)[keyof typeof Queued];

export interface TerminalSystem {
  /** Opens a serial port, or what plays one, by its path, without waiting for a carrier. */
  openLine(path: string): number;
  /** The controlling end of a new pair. */
  openController(): number;
  /** The path of the other end; or an error number. */
  pathOf(controller: number): string | number;
  /** Opens the other end. */
  openPeer(controller: number): number;
  /** Or an error number. */
  getMode(descriptor: number): TerminalMode | number;
  setMode(descriptor: number, mode: TerminalMode): number;
  /** The mode made raw. */
  rawMode(mode: TerminalMode): TerminalMode;
  /** The mode made one of a serial line. */
  lineMode(mode: TerminalMode, line: Line): TerminalMode;
  lineOf(mode: TerminalMode): Line;
  /** Or an error number. */
  windowSize(descriptor: number): WindowSize | number;
  setWindowSize(descriptor: number, size: WindowSize): number;
  /** The lines that are on, as `ModemLine` flags. */
  modemLines(descriptor: number): number;
  /** Turns lines on, and others off. */
  changeModemLines(descriptor: number, on: number, off: number): number;
  /** To be begun when nothing is unsent: else it would wait for that. */
  setBreak(descriptor: number, isOn: boolean): number;
  /** How many bytes the driver still has to send. */
  unsentBytes(descriptor: number): number;
  /** 1 if the last bit is on the line, 0 if it is not; an error number if the driver cannot tell. */
  isTransmitterEmpty(descriptor: number): number;
  discard(descriptor: number, queued: Queued): number;
  /** Whether others are refused to open it. Fails if somebody has it alone already. */
  setExclusive(descriptor: number, isOn: boolean): number;
}

/** `TerminalSystem` over the Zig library. */

import { invariant } from "../core/errors.ts";
import { Access } from "../core/file-system.ts";
import type { FlowControl, Line, Parity, TerminalMode, TerminalSystem, WindowSize } from "../core/terminal-system.ts";
import { toCString } from "./file-system.ts";
import { type NativeFunctions, TERMINAL_LINE_BYTES, TERMINAL_MODE_BYTES, WINDOW_SIZE_BYTES } from "./library.ts";
import { absentCall, absentFamily, has, type Platform } from "./platform.ts";

export function terminalSystem(functions: NativeFunctions, platform: Platform): TerminalSystem {
  if (has("terminals", platform)) return realTerminals(functions, platform);
  return absentFamily<TerminalSystem>("terminals", platform, { openLine: absentCall("serialPorts", platform) });
}

function realTerminals(functions: NativeFunctions, platform: Platform): TerminalSystem {
  const lineMemory = new LineMemory();
  const sizeMemory = new WindowSizeMemory();
  return {
    openLine: (path) => functions.file_open(toCString(path), Access.BOTH),
    openController: functions.terminal_open_controller,
    pathOf: (controller) => {
      const number = functions.terminal_number(controller);
      return number < 0 ? number : pathOfTerminal(number, platform);
    },
    openPeer: functions.terminal_open_peer,
    getMode: (descriptor) => {
      const mode = new Uint8Array(TERMINAL_MODE_BYTES);
      const result = functions.terminal_get_mode(descriptor, mode);
      return result < 0 ? result : mode;
    },
    setMode: functions.terminal_set_mode,
    rawMode: (mode) => {
      const raw = mode.slice();
      functions.terminal_make_raw(raw);
      return raw;
    },
    lineMode: (mode, line) => {
      const changed = mode.slice();
      const result = functions.terminal_configure_line(changed, lineMemory.write(line));
      invariant(result === 0, "the settings of a line are checked before they get here");
      return changed;
    },
    lineOf: (mode: TerminalMode) => {
      functions.terminal_describe_line(mode, lineMemory.words);
      return lineMemory.read();
    },
    windowSize: (descriptor) => {
      const result = functions.terminal_get_window_size(descriptor, sizeMemory.words);
      return result < 0 ? result : sizeMemory.read();
    },
    setWindowSize: (descriptor, size) => functions.terminal_set_window_size(descriptor, sizeMemory.write(size)),
    modemLines: functions.terminal_modem_lines,
    changeModemLines: functions.terminal_change_modem_lines,
    setBreak: (descriptor, isOn) => functions.terminal_set_break(descriptor, isOn ? 1 : 0),
    unsentBytes: functions.terminal_unsent_bytes,
    isTransmitterEmpty: functions.terminal_is_transmitter_empty,
    discard: functions.terminal_discard,
    setExclusive: (descriptor, isOn) => functions.terminal_set_exclusive(descriptor, isOn ? 1 : 0),
  };
}

/** Of the other end of a pair, as ptsname(3) tells it. */
export function pathOfTerminal(number: number, platform: Platform): string {
  return platform === "darwin" ? `/dev/ttys${String(number).padStart(3, "0")}` : `/dev/pts/${number}`;
}

/** `Line` in `zig/src/terminal.zig`; used for one call at a time, so one serves a whole thread. */
class LineMemory {
  readonly words = new Uint32Array(TERMINAL_LINE_BYTES / Uint32Array.BYTES_PER_ELEMENT);

  write({ baud, dataBits, parity, stopBits, flowControl }: Line): Uint32Array {
    this.words.set([baud, dataBits, parity, stopBits, flowControl]);
    return this.words;
  }

  read(): Line {
    const [baud, dataBits, parity, stopBits, flowControl] = this.words;
    return {
      baud: baud!,
      dataBits: dataBits!,
      parity: parity as Parity,
      stopBits: stopBits!,
      flowControl: flowControl as FlowControl,
    };
  }
}

/** `WindowSize` in `zig/src/terminal.zig`, likewise. */
class WindowSizeMemory {
  readonly words = new Uint16Array(WINDOW_SIZE_BYTES / Uint16Array.BYTES_PER_ELEMENT);

  write({ rows, columns, widthPixels = 0, heightPixels = 0 }: WindowSize): Uint16Array {
    this.words.set([rows, columns, widthPixels, heightPixels]);
    return this.words;
  }

  read(): WindowSize {
    const [rows, columns, widthPixels, heightPixels] = this.words;
    return { columns: columns!, rows: rows!, widthPixels: widthPixels!, heightPixels: heightPixels! };
  }
}

/**
 * What the platforms have, as data: the parts of the package that are not everywhere. `io/` knows nothing of it: what a
 * platform lacks throws in its `System`, before anything of the operating system is called.
 */

import { UnsupportedError } from "../core/errors.ts";

/** The platforms that there is a native library for, as `process.platform` calls them. */
export type Platform = "linux" | "darwin" | "freebsd" | "win32";

/** What a platform may lack. */
export type Feature =
  /** `readable`, `writable`, `ready` and `source` for descriptors of any kind. Sockets can be waited for everywhere. */
  | "anyDescriptor"
  /** `fdStream`. */
  | "fdStream"
  /** `openPipe`. The pipes of child processes are everywhere. */
  | "pipes"
  /** `makeNamedPipe`, `openNamedPipe`. */
  | "namedPipes"
  /** `startProcess` and `runProcess` inside `blockOn`. */
  | "processesInBlockOn"
  /** `isTerminal`, `rawMode`, `windowSize`, `openPty`. */
  | "terminals"
  /** `openSerial`. */
  | "serialPorts"
  /** `watch`. */
  | "watching"
  /** `unixPair`. */
  | "unixPairs"
  /** `bindUnixDatagram`, `openUnixDatagram`, `unixDatagramPair`. */
  | "unixDatagrams"
  /** Unix sockets with names that are no files: `{ abstract }`, `autobind`. */
  | "abstractNames"
  /** The permissions of a unix socket's file: `mode`. */
  | "socketFileModes"
  /** `sendDescriptors`, `receiveDescriptors`. */
  | "descriptorPassing"
  /** `UnixStream.peerCredentials`. */
  | "peerCredentials"
  /** `passCredentials` of unix datagram sockets. */
  | "senderCredentials"
  /** `reusePort` of `listen` and of UDP sockets. */
  | "reusePort";

/** What each platform lacks; all else it has. */
const LACKS: Readonly<Record<Platform, readonly Feature[]>> = {
  linux: [],
  darwin: ["processesInBlockOn", "watching", "abstractNames", "senderCredentials"],
  freebsd: ["processesInBlockOn", "watching", "abstractNames", "senderCredentials"],
  win32: [
    "anyDescriptor",
    "fdStream",
    "pipes",
    "namedPipes",
    "processesInBlockOn",
    "terminals",
    "serialPorts",
    "watching",
    "unixPairs",
    "unixDatagrams",
    "abstractNames",
    "socketFileModes",
    "descriptorPassing",
    "peerCredentials",
    "senderCredentials",
    "reusePort",
  ],
};

/** What messages call it. */
const WORDS: Readonly<Record<Feature, string>> = {
  anyDescriptor: "waits for descriptors other than sockets",
  fdStream: "streams on descriptors of others",
  pipes: "pipes, except those of child processes",
  namedPipes: "named pipes",
  processesInBlockOn: "waits for child processes inside blockOn (use run)",
  terminals: "terminals",
  serialPorts: "serial ports",
  watching: "watchers of files",
  unixPairs: "pairs of unix sockets",
  unixDatagrams: "unix datagram sockets",
  abstractNames: "abstract names of unix sockets (use a path)",
  socketFileModes: "permissions for the files of unix sockets",
  descriptorPassing: "descriptors that unix sockets pass",
  peerCredentials: "credentials of the peers of unix sockets",
  senderCredentials: "credentials of the senders of unix datagrams",
  reusePort: "ports that several sockets share (reusePort)",
};

const NAMES: Readonly<Record<Platform, string>> = {
  linux: "Linux",
  darwin: "macOS",
  freebsd: "FreeBSD",
  win32: "Windows",
};

/** This one. What is no platform of the package is refused when the library is loaded. */
export const THIS_PLATFORM = process.platform as Platform;

/**
 * Whether a part of the package is there on this platform: for programs that run on several. What is not there throws an
 * `UnsupportedError` when it is used.
 *
 *     const restore = isSupported("terminals") ? yield* rawMode(0) : null;
 *
 * What an old kernel or a sandbox lacks shows only when it is used.
 * @throws TypeError for what is no feature
 */
export function isSupported(feature: Feature): boolean {
  if (Object.hasOwn(WORDS, feature)) return has(feature, THIS_PLATFORM);
  throw new TypeError(`isSupported: there is no feature ${JSON.stringify(feature)}`);
}

/** Whether a platform has something. */
export function has(feature: Feature, platform: Platform): boolean {
  return !LACKS[platform].includes(feature);
}

/**
 * Whether the event queue reports every change of a descriptor by itself (epoll(7), kqueue(2)). On Windows it answers
 * questions: what was reported is reported again when somebody asks again.
 */
export function reportsChanges(platform: Platform): boolean {
  return platform !== "win32";
}

/** The error for what a platform lacks. */
export function lacking(feature: Feature, platform: Platform): UnsupportedError {
  return new UnsupportedError(`bun-reactor has no ${WORDS[feature]} on ${NAMES[platform]}`, { feature, platform });
}

/** Refuses what a platform lacks. */
export function refuseLacking(feature: Feature, platform: Platform): void {
  if (!has(feature, platform)) throw lacking(feature, platform);
}

/** Stands for a call that a platform lacks. */
export function absentCall(feature: Feature, platform: Platform): () => never {
  return () => {
    throw lacking(feature, platform);
  };
}

/** Stands for a family of calls that a platform lacks, but for some. */
export function absentFamily<Family extends object>(
  feature: Feature,
  platform: Platform,
  others: Partial<Family> = {},
): Family {
  const call = absentCall(feature, platform);
  return new Proxy(others as Family, { get: (own, name) => Reflect.get(own, name) ?? call });
}

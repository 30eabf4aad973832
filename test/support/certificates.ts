/** The certificates of the tests, which test/support/certificates/make.sh has made, each with its key. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** The authority that has issued the others but `stranger`. */
export const AUTHORITY = { file: pathOf("authority.pem"), cert: readFileSync(pathOf("authority.pem"), "utf8") };

/** For localhost, 127.0.0.1 and ::1. */
export const SERVER = certificate("server");

/** For localhost, but until 2001. */
export const EXPIRED = certificate("expired");

/** For other.example and *.wild.example. */
export const OTHER = certificate("other");

/** For a client. */
export const CLIENT = certificate("client");

/** For localhost, but signed by itself. */
export const STRANGER = certificate("stranger");

function certificate(name: string): CertificateFiles {
  const [certFile, keyFile] = [pathOf(`${name}.pem`), pathOf(`${name}.key`)];
  return { certFile, keyFile, cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
}

function pathOf(file: string): string {
  return fileURLToPath(new URL(`certificates/${file}`, import.meta.url));
}

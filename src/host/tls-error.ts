/** What went wrong with TLS, in words that say what to do. */

/** The other side could not be trusted, or does not speak TLS as it should. */
export class TlsError extends Error {
  override readonly name = "TlsError";
  /** The code that Node.js has for it, such as `CERT_HAS_EXPIRED` or `ERR_TLS_CERT_ALTNAME_INVALID`. */
  readonly code: string;

  constructor(
    /** The stream, or the call, that the error is about. */
    subject: string,
    cause: Error & { readonly code?: unknown },
  ) {
    const code = typeof cause.code === "string" ? cause.code : "ERR_TLS";
    super(`${subject}: ${explain(code, wordsOf(cause.message))}`, { cause });
    this.code = code;
  }

  /** The error for a handshake that the other side has ended with an alert in plain text. */
  static ofAlert(subject: string, alert: number, cause: Error): TlsError {
    const words = ALERTS[alert] ?? `alert ${alert}`;
    const error = new TlsError(subject, cause);
    error.message = `${subject}: the other side refused: ${words}`;
    return error;
  }
}

/** OpenSSL's messages end in the reason: `error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER`. */
function wordsOf(message: string): string {
  const reason = /^error:[0-9a-fA-F]+:.*:([A-Z0-9_]+)$/.exec(message)?.[1];
  return reason === undefined ? message : reason.toLowerCase().replaceAll("_", " ");
}

function explain(code: string, words: string): string {
  if (NOT_TLS.has(code)) return `the other side does not speak TLS (${words})`;
  if (UNKNOWN_AUTHORITY.has(code))
    return `the certificate is of nobody that is trusted (${words}): if it is right, pass its authority's certificate as ca`;
  if (UNUSABLE_FILE.test(code)) return `the certificate or the key cannot be used (${words})`;
  if (ALERT.test(code)) return `the other side refused: ${words.replace(/^(?:tls|ssl)v\d+ alert /, "")}`;
  return words;
}

const NOT_TLS: ReadonlySet<string> = new Set([
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_HTTP_REQUEST",
  "ERR_SSL_HTTPS_PROXY_REQUEST",
  "ERR_SSL_UNEXPECTED_MESSAGE",
  "ERR_SSL_UNEXPECTED_RECORD",
]);

const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

const UNUSABLE_FILE = /^ERR_OSSL_/;
const ALERT = /^ERR_SSL_.*_ALERT_/;

/** Those that a peer sends who does not like a certificate or a proposal (RFC 8446, section 6.2). */
const ALERTS: Readonly<Record<number, string>> = {
  10: "unexpected message",
  40: "handshake failure",
  42: "bad certificate",
  43: "unsupported certificate",
  44: "certificate revoked",
  45: "certificate expired",
  46: "certificate unknown",
  47: "illegal parameter",
  48: "unknown ca",
  49: "access denied",
  50: "decode error",
  51: "decrypt error",
  70: "protocol version",
  71: "insufficient security",
  80: "internal error",
  90: "user canceled",
  112: "unrecognized name",
  116: "certificate required",
  120: "no application protocol",
};

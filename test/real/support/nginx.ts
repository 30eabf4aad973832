/** An nginx of the tests' own, in a folder that goes with it: plain, over TLS with several names, and before another server. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AUTHORITY, type CertificateFiles, EXPIRED, OTHER, SERVER } from "../../support/certificates.ts";
import { freePorts, RealServer } from "./server.ts";

export interface NginxOptions {
  /** What it serves, by path. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** The server to which it passes on what is below `/behind/`. */
  readonly behindPort?: number;
}

export class Nginx implements AsyncDisposable {
  private constructor(
    private readonly server: RealServer,
    private readonly folder: string,
    readonly ports: Ports,
  ) {}

  static async start({ files, behindPort = 9 }: NginxOptions): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), "bun-reactor-nginx-"));
    mkdirSync(join(folder, "www"));
    for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, "www", path), content);
    const [plain, secure, expired, mutual] = freePorts(4) as [number, number, number, number];
    const ports = { plain, secure, expired, mutual };
    writeFileSync(join(folder, "nginx.conf"), configuration(folder, ports, behindPort));
    const command = ["nginx", "-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"];
    const server = await RealServer.start(command, { isReady: (line) => line.includes("start worker process ") });
    return new Nginx(server, folder, ports);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Ports {
  readonly plain: number;
  /** Shows the certificate for localhost, or that for other.example to those who ask for it. */
  readonly secure: number;
  readonly expired: number;
  /** Requires a client's certificate. */
  readonly mutual: number;
}

function configuration(folder: string, ports: Ports, behindPort: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const locations = `
    root ${folder}/www;
    location /chunked/ { alias ${folder}/www/; ssi on; ssi_types *; }
    location /behind/ { proxy_pass http://127.0.0.1:${behindPort}/; proxy_http_version 1.1; client_max_body_size 64m; }
    location /last/ { alias ${folder}/www/; keepalive_timeout 0; }`;
  return `
daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes 1;
pid ${folder}/pid;
error_log stderr notice;
events {}
http {
  access_log off;
  ${temporary.join("\n  ")}
  server { listen 127.0.0.1:${ports.plain}; ${locations} }
  server { listen 127.0.0.1:${ports.secure} ssl default_server; ${certificate(SERVER)} ${locations} }
  server { listen 127.0.0.1:${ports.secure} ssl; server_name other.example; ${certificate(OTHER)} ${locations} }
  server { listen 127.0.0.1:${ports.expired} ssl; ${certificate(EXPIRED)} ${locations} }
  server {
    listen 127.0.0.1:${ports.mutual} ssl; ${certificate(SERVER)} ${locations}
    ssl_verify_client on; ssl_client_certificate ${AUTHORITY.file};
  }
}
`;
}

function certificate({ certFile, keyFile }: CertificateFiles): string {
  return `ssl_certificate ${certFile}; ssl_certificate_key ${keyFile}; ssl_protocols TLSv1.2 TLSv1.3;`;
}

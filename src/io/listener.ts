/** Listening on a Unix socket or a TCP port, and feeding what comes in to an acceptor. */
import { chmodSync, mkdirSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { dirname } from "node:path";
import { MAX_SOCKET_PATH_BYTES } from "../base/limits.js";
import { ConnectionError, InvalidOptionError } from "../errors.js";
import type { Acceptor } from "./acceptor.js";
import { type Address, formatAddress } from "./address.js";

/** Connections that the kernel completes for us before we accept them. */
const BACKLOG = 1_024;

export interface Listener {
  /** Where it listens, with the port that was given for port 0. */
  readonly address: Address;
  /** Listen no more. Connections stay; the Unix socket's file is removed at once. */
  close(): void;
  /** Do not keep the process alive for the sake of listening. */
  unref(): void;
}

/** Listen at `where` (port 0: any free port). Several listeners may share an acceptor, and with it its limits. */
export async function listen(where: Address, acceptor: Acceptor): Promise<Listener> {
  const server = createServer((socket) => acceptor.take(socket));
  if ("unixPath" in where) await listenOnPath(server, where.unixPath);
  else await listening(server, { host: where.host, port: where.port });
  server.on("error", (error) => acceptor.options.log?.(`${formatAddress(where)}: ${error.message}`));
  return { address: boundAddress(server, where), close: () => void server.close(), unref: () => void server.unref() };
}

async function listenOnPath(server: Server, path: string): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    // The kernel would cut it and listen elsewhere.
    const limit = `${bytes} bytes long, ${MAX_SOCKET_PATH_BYTES} are possible`;
    throw new InvalidOptionError(`the socket path ${path} is ${limit}; set MOBULA_TMPDIR to a shorter directory`);
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    await listening(server, { path });
  } catch (error) {
    if (!isAddressInUse(error) || (await somebodyListens(path))) throw error;
    unlinkSync(path); // left behind by a process that was killed
    await listening(server, { path });
  }
  chmodSync(path, 0o600);
}

function listening(server: Server, where: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => {
      const at = "path" in where ? where.path : `${where.host}:${where.port}`;
      reject(new ConnectionError(`cannot listen on ${at}: ${cause.message}`, { cause }));
    };
    server.once("error", failed);
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.off("error", failed);
      resolve();
    });
  });
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof ConnectionError && (error.cause as NodeJS.ErrnoException).code === "EADDRINUSE";
}

function somebodyListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}

function boundAddress(server: Server, where: Address): Address {
  const bound = server.address();
  return "host" in where && typeof bound === "object" && bound !== null
    ? { host: where.host, port: bound.port }
    : where;
}

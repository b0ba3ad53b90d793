/**
 * The cluster's secret: `MOBULA_AUTH_TOKEN`, else the file `MOBULA_AUTH_TOKEN_PATH`, else `~/.mobula/auth_token`, which
 * is made at the first start. Never in argv, never in a log.
 */
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { AuthenticationError } from "../errors.js";

const MIN_SECRET_BYTES = 16;
const GROUP_AND_OTHERS = 0o077;

/** @throws AuthenticationError when a source that was named cannot be used. */
export function loadSecret(options: { readonly token?: string | undefined } = {}): Uint8Array {
  const token = options.token ?? process.env["MOBULA_AUTH_TOKEN"];
  if (token !== undefined) return checked(token, options.token === undefined ? "MOBULA_AUTH_TOKEN" : "authToken");
  const named = process.env["MOBULA_AUTH_TOKEN_PATH"];
  if (named !== undefined) return readSecret(named, `the file that MOBULA_AUTH_TOKEN_PATH names, ${named},`);
  const path = join(homedir(), ".mobula", "auth_token");
  makeSecret(path);
  return readSecret(path, `the file ${path}`);
}

function readSecret(path: string, what: string): Uint8Array {
  try {
    const { mode } = statSync(path);
    if ((mode & GROUP_AND_OTHERS) !== 0) {
      throw new AuthenticationError(`${what} has mode ${(mode & 0o777).toString(8)}: others may read the cluster's secret. Run: chmod 600 ${path}`);
    }
    return checked(readFileSync(path, "utf8").trim(), what);
  } catch (cause) {
    if (cause instanceof AuthenticationError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AuthenticationError(`${what} cannot be read: ${why}`, { cause });
  }
}

function checked(token: string, what: string): Uint8Array {
  const bytes = Buffer.from(token, "utf8");
  if (bytes.length >= MIN_SECRET_BYTES) return bytes;
  throw new AuthenticationError(`${what} holds ${bytes.length} bytes; a cluster's secret has at least ${MIN_SECRET_BYTES}`);
}

/** Whole or not at all: two processes that start at once must end with the same secret. */
function makeSecret(path: string): void {
  try {
    statSync(path);
    return;
  } catch {
    // made now
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    unlinkSync(draft);
  }
}

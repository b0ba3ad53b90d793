/**
 * The cluster's secret: `MOBULA_AUTH_TOKEN`, else the file `MOBULA_AUTH_TOKEN_PATH`, else `~/.mobula/auth_token`, which
 * is made at the first start. A source that was named must work: falling back to another one would join the wrong
 * cluster, or none, with an error about something else. Never in argv, never in a log, never in an error.
 */
import { randomBytes } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { MIN_SECRET_BYTES } from "../base/limits.js";
import { AuthenticationError } from "../errors.js";

const NEW_SECRET_BYTES = 32;
const GROUP_AND_OTHERS = 0o077;

/**
 * The secret, from `token` if it is given.
 *
 * @throws AuthenticationError when the source cannot be used, with what to do about it.
 */
export function loadSecret(options: { readonly token?: string | undefined } = {}): Uint8Array {
  if (options.token !== undefined) return checked(options.token, "authToken");
  const token = process.env["MOBULA_AUTH_TOKEN"];
  if (token !== undefined) return checked(token, "MOBULA_AUTH_TOKEN");
  const named = process.env["MOBULA_AUTH_TOKEN_PATH"];
  if (named !== undefined) return readSecret(named, `the file that MOBULA_AUTH_TOKEN_PATH names, ${named},`);
  const path = join(homedir(), ".mobula", "auth_token");
  if (!existsSync(path)) makeSecret(path);
  return readSecret(path, `the file ${path}`);
}

function readSecret(path: string, what: string): Uint8Array {
  try {
    const { mode } = statSync(path);
    if ((mode & GROUP_AND_OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, "0");
      throw new AuthenticationError(
        `${what} has mode ${octal}, so others may read the cluster's secret; run: chmod 600 ${path}`,
      );
    }
    return checked(readFileSync(path, "utf8"), what);
  } catch (cause) {
    if (cause instanceof AuthenticationError) throw cause;
    throw new AuthenticationError(`${what} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function checked(token: string, what: string): Uint8Array {
  const bytes = Buffer.from(token.trim(), "utf8");
  if (bytes.length >= MIN_SECRET_BYTES) return bytes;
  throw new AuthenticationError(
    `${what} holds ${bytes.length} bytes; a cluster's secret has at least ${MIN_SECRET_BYTES}`,
  );
}

/** Whole or not at all: two processes that start at once must end with the same secret. */
function makeSecret(path: string): void {
  const draft = `${path}.${process.pid}`;
  try {
    makeDirectory(dirname(path));
    writeFileSync(draft, `${randomBytes(NEW_SECRET_BYTES).toString("hex")}\n`, { mode: 0o600 });
    linkSync(draft, path); // fails when another process was faster, whose secret it is then
  } catch (cause) {
    if (existsSync(path)) return;
    const remedy = "set MOBULA_AUTH_TOKEN, or MOBULA_AUTH_TOKEN_PATH to a file of mode 0600";
    throw new AuthenticationError(`no secret could be made at ${path}: ${messageOf(cause)}; ${remedy}`, { cause });
  } finally {
    if (existsSync(draft)) unlinkSync(draft);
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

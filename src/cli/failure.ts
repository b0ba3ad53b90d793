/** How the command ends when something went wrong. */
import { InvalidOptionError, MobulaError } from "../errors.js";

const FAILED = 1;
export const USAGE = 2;

/** Say what went wrong; gives the exit code. The stack is for bugs of ours only. */
export function fail(error: unknown): number {
  if (error instanceof MobulaError) {
    process.stderr.write(`${error.code}: ${error.message}\n`);
    return error instanceof InvalidOptionError ? USAGE : FAILED;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return FAILED;
}

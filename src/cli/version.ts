import { readFileSync } from "node:fs";

/** The version of the package, from its package.json: three folders above this file's place in `dist`. */
export function version(): string {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

// Revives every captured case and captures it again, as a worker does that ships a function on: `<captured> <output>`.
import { readFileSync, writeFileSync } from "node:fs";
import { capture, Reviver } from "../../../src/functions/index.js";
import type { CapturedCase } from "./cases.js";

const [input = "", output = ""] = process.argv.slice(2);
const again: CapturedCase[] = [];
for (const each of JSON.parse(readFileSync(input, "utf8")) as CapturedCase[]) {
  const { payload: _, hash: __, ...rest } = each;
  try {
    const fn = await new Reviver({ revive: () => undefined }).revive(each.hash ?? "", Buffer.from(each.payload ?? "", "base64"));
    const { hash, payload, location } = capture(fn, { describe: () => undefined, warn: () => undefined });
    again.push({ ...rest, hash, location, payload: Buffer.from(payload).toString("base64") });
  } catch (error) {
    again.push({ ...rest, error: `captured again: ${error instanceof Error ? error.stack : String(error)}` });
  }
}
writeFileSync(output, JSON.stringify(again));

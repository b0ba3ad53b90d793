// Revives and calls every captured case; prints the results: `node revive-main.js <captured> [again <output>]`.
import { readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { capture, Reviver } from "../../../src/functions/index.js";
import type { CapturedCase, CaseResult } from "./cases.js";

const [input = "", again] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(input, "utf8")) as CapturedCase[];
const results: CaseResult[] = [];
for (const each of cases) {
  if (each.payload === undefined || each.hash === undefined) {
    results.push({ name: each.name, error: each.error ?? "not captured" });
    continue;
  }
  try {
    const reviver = new Reviver({ revive: () => undefined });
    let fn = await reviver.revive(each.hash, Buffer.from(each.payload, "base64"));
    if (again === "again") {
      const { hash, payload } = capture(fn, { describe: () => undefined, warn: () => undefined });
      fn = await new Reviver({ revive: () => undefined }).revive(hash, payload);
    }
    const args = JSON.parse(each.input, (_, value: unknown) => (value === null ? undefined : value)) as unknown[];
    const result: unknown = await (Reflect.apply(fn, undefined, args) as unknown);
    results.push({ name: each.name, result: inspect(result, { depth: 10 }) });
  } catch (error) {
    results.push({ name: each.name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
writeFileSync(1, JSON.stringify(results));

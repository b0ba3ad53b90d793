// Revives and calls every captured case and prints the results: `revive-main.js <captured>`.
import { readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { Reviver } from "../../../src/functions/index.js";
import type { CapturedCase, CaseResult } from "./cases.js";

const [input = ""] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(input, "utf8")) as CapturedCase[];

async function run(each: CapturedCase): Promise<CaseResult> {
  if (each.payload === undefined || each.hash === undefined) return { name: each.name, error: each.error ?? "not captured" };
  try {
    const reviver = new Reviver({ revive: () => undefined });
    const fn = await reviver.revive(each.hash, Buffer.from(each.payload, "base64"));
    const args = JSON.parse(each.input, (_, value: unknown) => (value === null ? undefined : value)) as unknown[];
    const result: unknown = await (Reflect.apply(fn, undefined, args) as unknown);
    return { name: each.name, result: inspect(result, { depth: 10 }) };
  } catch (error) {
    return { name: each.name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

const results: CaseResult[] = [];
for (const each of cases) results.push(await run(each));
writeFileSync(1, JSON.stringify(results));

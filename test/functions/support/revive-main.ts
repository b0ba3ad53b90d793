// Revives and calls every captured case and prints the results: `revive-main.js <captured> [<output>]`. With an output,
// each revived function is also captured again, as on a worker that ships it on.
import { readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { capture, Reviver } from "../../../src/functions/index.js";
import type { CapturedCase, CaseResult } from "./cases.js";

const [input = "", output] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(input, "utf8")) as CapturedCase[];
const again: CapturedCase[] = [];

async function run(each: CapturedCase): Promise<CaseResult> {
  try {
    if (each.payload === undefined || each.hash === undefined) throw new Error(each.error ?? "not captured");
    const reviver = new Reviver({ revive: () => undefined });
    const fn = await reviver.revive(each.hash, Buffer.from(each.payload, "base64"));
    if (output !== undefined) again.push(recapture(each, fn)); // before the call changes what it captured
    const args = JSON.parse(each.input, (_, value: unknown) => (value === null ? undefined : value)) as unknown[];
    const result: unknown = await (Reflect.apply(fn, undefined, args) as unknown);
    return { name: each.name, result: inspect(result, { depth: 10 }) };
  } catch (error) {
    return { name: each.name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function recapture({ payload: _, hash: __, ...rest }: CapturedCase, fn: CallableFunction): CapturedCase {
  const { hash, payload, location } = capture(fn, { describe: () => undefined, warn: () => undefined });
  return { ...rest, hash, location, payload: Buffer.from(payload).toString("base64") };
}

const results: CaseResult[] = [];
for (const each of cases) results.push(await run(each));
if (output !== undefined) writeFileSync(output, JSON.stringify(again));
writeFileSync(1, JSON.stringify(results));

// Captures cases and writes the payloads to a file.
import { writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { capture } from "../../../src/functions/index.js";
import type { CapturedCase, Fixture } from "./cases.js";

export function captureCases({ cases, byReference = [] }: Fixture, output: string): void {
  const captured: CapturedCase[] = [];
  for (const [name, { fn, args = [], expect }] of Object.entries(cases)) {
    const entry = { name, args: inspect(args, { depth: 0 }), expect: inspect(expect, { depth: 10 }) };
    try {
      const { payload, hash, location } = capture(fn as CallableFunction, {
        describe: () => undefined,
        warn: () => undefined,
        byReference,
      });
      captured.push({
        ...entry,
        hash,
        location,
        payload: Buffer.from(payload).toString("base64"),
        input: JSON.stringify(args),
      });
    } catch (error) {
      captured.push({ ...entry, input: "[]", error: String(error) });
    }
  }
  writeFileSync(output, JSON.stringify(captured));
}

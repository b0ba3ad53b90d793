// 40: the stack trace of an error on a worker points to the lines and columns that the user wrote, async frames included.
// Method: the fixture marks each position with a comment; its functions throw in a process without the sources' loader.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { cases } from "./fixtures/stack.js";
import { captureFixture, compiled, type Options, reviveFixture, source, TSX } from "./support/cases.js";

const FILE = source("fixtures/stack.ts");
const LINES = readFileSync(FILE, "utf8").split("\n");

/** `file:line:column` of the word that a comment `// <mark>: <word>` names. */
function position(mark: string): string {
  const index = LINES.findIndex((line) => line.includes(`// ${mark}: `));
  const [code = "", comment = ""] = LINES[index]?.split(`// ${mark}: `) ?? [];
  const column = code.lastIndexOf(comment);
  assert.ok(column >= 0, mark);
  return `${FILE}:${index + 1}:${column + 1}`;
}

const WAYS: Record<string, readonly [string, Options]> = {
  "compiled by tsc": [compiled("fixtures/stack.js"), {}],
  "loaded by tsx": [FILE, { nodeArgs: TSX }],
};

for (const [way, [fixture, options]] of Object.entries(WAYS)) {
  describe(way, async () => {
    const shipped = await captureFixture(fixture, options);
    const results = await reviveFixture(shipped);
    for (const { name, error } of results) {
      test(name, () => {
        const { expect } = cases[name] ?? assert.fail(name);
        for (const mark of expect as string[]) {
          assert.ok(error?.includes(position(mark)), `${position(mark)} in ${error}`);
        }
      });
    }
    test("a capture tells where its function was written", () => {
      const line = LINES.findIndex((each) => each.startsWith("async function outer"));
      assert.equal(shipped.captured[0]?.location, `file://${FILE}:${line + 1}:1`);
    });
  });
}

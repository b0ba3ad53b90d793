// A stream gives the same lines however it is cut, and no line is longer than the limit.
// Method: every cut of a short text with wide characters.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LineSplitter } from "./lines.js";

function linesOf(chunks: readonly Buffer[], limit = 100): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter(limit, (line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

test("every cut gives the same lines, also inside a character", () => {
  const bytes = Buffer.from("one\n\nzwölf €\r\n\u{1f600} last");
  for (let cut = 0; cut <= bytes.length; cut++) {
    const lines = linesOf([bytes.subarray(0, cut), bytes.subarray(cut)]);
    assert.deepEqual(lines, ["one", "", "zwölf €", "\u{1f600} last"], `cut at ${cut}`);
  }
});

test("a line beyond the limit comes in pieces, before its end is known", () => {
  const lines: string[] = [];
  const splitter = new LineSplitter(4, (line) => lines.push(line));
  splitter.push(Buffer.from("abcdefghij"));
  assert.deepEqual(lines, ["abcd", "efgh"]);
  splitter.push(Buffer.from("\nnew\n"));
  splitter.end();
  assert.deepEqual(lines, ["abcd", "efgh", "ij", "new"]);
  assert.deepEqual(linesOf([Buffer.from("abcdefgh\n")], 4), ["abcd", "efgh"]);
});

test("nothing gives no line", () => {
  assert.deepEqual(linesOf([]), []);
  assert.deepEqual(linesOf([Buffer.from("\n")]), [""]);
});

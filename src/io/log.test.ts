// A line is in the file when the call returns; the file stays within its limit and a broken one harms nobody.
// Method: real files.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openLog } from "./log.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));

test("lines carry time, level and text, for this user only", () => {
  const path = join(directory, "a.log");
  const log = openLog(path);
  log.info("began");
  log.warn("look out");
  openLog(path).error("again"); // opened a second time: appended
  const lines = readFileSync(path, "utf8").split("\n");
  assert.match(lines[0] ?? "", /^\d{4}-\d\d-\d\dT[\d:.]+Z info began$/);
  assert.deepEqual(
    lines.slice(1).map((line) => line.split(" ").slice(1).join(" ")),
    ["warn look out", "error again", ""],
  );
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("a full file is put aside once, and the log goes on", () => {
  const path = join(directory, "full.log");
  const log = openLog(path, 1_000);
  for (let i = 0; i < 100; i++) log.info(`line ${i}`);
  assert.ok(statSync(path).size <= 1_000 && statSync(`${path}.old`).size <= 1_000);
  assert.match(readFileSync(path, "utf8"), /line 99\n$/);
});

test("a log that cannot be written is silent", () => {
  openLog(join(directory, "no", "such", "place.log")).error("nobody hears this");
  assert.ok(!existsSync(join(directory, "no")));
});

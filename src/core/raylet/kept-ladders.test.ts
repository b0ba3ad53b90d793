// What ended processes recorded is kept for its time and within its bytes; the oldest goes first.
// Method: keep, ask, and let time come by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { job } from "../../../test/support/names.js";
import { KEPT_LADDERS_MS, MAX_KEPT_LADDERS_BYTES } from "../../base/limits.js";
import { KeptLadders } from "./kept-ladders.js";

function about(...subjects: readonly string[]): string {
  return JSON.stringify(subjects.map((subject) => ({ subject })));
}

function subjectsIn(kept: KeptLadders, subject: string): string[] {
  const records = kept.about(subject).flatMap((json) => JSON.parse(`[${json}]`) as { subject: string }[][]);
  return records.flat().map((record) => record.subject);
}

test("it gives what is about a subject, of everybody", () => {
  const kept = new KeptLadders();
  kept.keep(job("a"), about("t1", "t2"), 0);
  kept.keep(job("b"), `${about("t11")},${about("t3")}`, 0); // two workers of a job
  assert.deepEqual(subjectsIn(kept, ""), ["t1", "t2", "t11", "t3"]);
  assert.deepEqual(subjectsIn(kept, "t1"), ["t1", "t11"]);
});

test("what is said twice replaces itself", () => {
  const kept = new KeptLadders();
  kept.keep(job("a"), about("t1"), 0);
  kept.keep(job("a"), about("t2"), 1);
  assert.deepEqual(subjectsIn(kept, ""), ["t2"]);
});

test("it is kept for its time", () => {
  const kept = new KeptLadders();
  kept.keep(job("a"), about("t1"), 1_000);
  kept.keep(job("b"), about("t2"), 2_000);
  kept.tick(1_000 + KEPT_LADDERS_MS);
  assert.deepEqual(subjectsIn(kept, ""), ["t2"]);
});

test("it is bounded: the oldest make room, and what is too large is not kept at all", () => {
  const kept = new KeptLadders();
  const half = about("x".repeat(MAX_KEPT_LADDERS_BYTES / 2 - 100));
  for (const name of ["a", "b", "c"]) {
    kept.keep(job(name), half, 0);
    kept.check();
  }
  assert.equal(kept.about("").length, 2);
  kept.keep(job("d"), about("x".repeat(MAX_KEPT_LADDERS_BYTES)), 0);
  kept.check();
  assert.equal(kept.about("").length, 2);
});

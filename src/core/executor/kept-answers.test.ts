import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ContextId, taskIdOf } from "../../base/ids.js";
import { MAX_KEPT_ANSWER_BYTES, MAX_KEPT_ANSWERS } from "../../base/limits.js";
import type { Outcome } from "../owner/records.js";
import { KeptAnswers } from "./kept-answers.js";

const context = "c".repeat(24) as ContextId;
const answer = (value: number): Outcome => ({ kind: "value", value });

describe("answers that a worker keeps", () => {
  test("the newest are found by their task, and no more of them are kept than the limit", () => {
    const kept = new KeptAnswers();
    for (let i = 0; i < MAX_KEPT_ANSWERS + 3; i++) kept.keep(context, i, 0, answer(i), 0);
    assert.equal(kept.find(taskIdOf(context, 2)), undefined);
    assert.deepEqual(kept.find(taskIdOf(context, 3))?.outcome, answer(3));
    assert.deepEqual(kept.find(taskIdOf(context, MAX_KEPT_ANSWERS + 2))?.outcome, answer(MAX_KEPT_ANSWERS + 2));
  });

  test("large values push older ones out", () => {
    const kept = new KeptAnswers();
    kept.keep(context, 1, 0, answer(1), MAX_KEPT_ANSWER_BYTES / 2);
    kept.keep(context, 2, 0, answer(2), MAX_KEPT_ANSWER_BYTES / 2);
    assert.deepEqual(kept.find(taskIdOf(context, 1))?.outcome, answer(1));
    kept.keep(context, 3, 0, answer(3), 1);
    assert.equal(kept.find(taskIdOf(context, 1)), undefined);
    assert.deepEqual(kept.find(taskIdOf(context, 2))?.outcome, answer(2));
    kept.keep(context, 4, 0, answer(4), MAX_KEPT_ANSWER_BYTES + 1);
    assert.equal(kept.find(taskIdOf(context, 4)), undefined);
    assert.deepEqual(kept.find(taskIdOf(context, 3))?.outcome, answer(3));
  });

  test("a task that ran again is found with its last answer", () => {
    const kept = new KeptAnswers();
    kept.keep(context, 1, 0, answer(1), 0);
    kept.keep(context, 1, 2, answer(2), 0);
    assert.deepEqual(kept.find(taskIdOf(context, 1)), { outcome: answer(2), attempt: 2 });
  });

  test("a promise is taken once, by its task alone", () => {
    const kept = new KeptAnswers();
    kept.promise(taskIdOf(context, 7));
    assert.equal(kept.takePromise(context, 8), false);
    assert.equal(kept.takePromise(context, 7), true);
    assert.equal(kept.takePromise(context, 7), false);
  });
});

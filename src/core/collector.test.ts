// A question is finished once: when all have answered, have died, or have had their time.
// Method: ask, and let answers, deaths and time come by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_ANSWER_CHARACTERS, MAX_QUESTIONS } from "../base/limits.js";
import { Collector } from "./collector.js";

function world(...whom: readonly string[]) {
  const collector = new Collector();
  const finished: (readonly string[])[] = [];
  const query = collector.ask(whom, ["own"], (answers) => finished.push(answers));
  return { collector, query, finished };
}

test("it ends with the last answer; an answer may come in parts", () => {
  const { collector, query, finished } = world("p", "q");
  collector.answered(query, "p", "p1", false);
  collector.answered(query, "q", "q1", true);
  collector.answered(query, "p", "p2", true);
  collector.answered(query, "p", "late", true);
  collector.answered(query + 1, "p", "of another question", true);
  assert.deepEqual(finished, [["own", "p1", "q1", "p2"]]);
});

test("the dead are not waited for", () => {
  const { collector, query, finished } = world("p", "q");
  collector.died("p");
  collector.died("p");
  assert.deepEqual(finished, []);
  collector.answered(query, "q", "q1", true);
  assert.deepEqual(finished, [["own", "q1"]]);
});

test("the slow are waited for as long as was said, and what has come by then counts", () => {
  const { collector, query, finished } = world("p", "q");
  collector.answered(query, "p", "p1", true);
  collector.tick(1_000_000); // the first time that it hears: a question of before has all its time from here on
  collector.tick(1_001_999);
  assert.deepEqual(finished, []);
  collector.tick(1_002_000);
  collector.tick(9_000);
  assert.deepEqual(finished, [["own", "p1"]]);
});

test("with nobody to ask, it is finished at once", () => {
  assert.deepEqual(world().finished, [["own"]]);
});

test("beyond the limit the oldest question is answered with what has come", () => {
  const { collector, query, finished } = world("p", "q");
  collector.answered(query, "p", "p1", true);
  for (let i = 1; i < MAX_QUESTIONS; i++) collector.ask(["p"], [], () => {});
  assert.deepEqual(finished, []);
  collector.ask(["p"], [], () => {});
  assert.deepEqual(finished, [["own", "p1"]]);
});

test("an answer that would be too much is left out; smaller ones count", () => {
  const { collector, query, finished } = world("p", "q");
  collector.answered(query, "p", "x".repeat(MAX_ANSWER_CHARACTERS + 1), true);
  collector.answered(query, "q", "q1", true);
  assert.deepEqual(finished, [["own", "q1"]]);
});

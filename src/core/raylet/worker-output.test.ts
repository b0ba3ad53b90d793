// What workers write reaches their drivers in order, in batches, and never fills the node; what is dropped is counted.
// Method: write lines by hand, look at the batches, and say when they have been shown.
import assert from "node:assert/strict";
import { test } from "node:test";
import { job } from "../../../test/support/names.js";
import { MAX_LOG_LINE_LENGTH, MAX_OUTPUT_BATCH_BYTES, MAX_OUTPUT_BYTES } from "../../base/limits.js";
import { type OutputBatch, WorkerOutput } from "./worker-output.js";

const A = job("a");

class World {
  readonly batches: OutputBatch[] = [];
  wakeUps = 0;
  readonly output = new WorkerOutput({
    send: (batch) => this.batches.push(batch),
    wakeUpAfter: () => this.wakeUps++,
  });

  write(text: string, of = A): void {
    this.output.add(of, { pid: 1, name: "f", stream: "stdout", text });
    this.output.check();
  }

  /** The texts of the next batch, and how many were dropped after them; it has been shown then. */
  show(): string {
    const batch = this.batches.shift();
    if (batch === undefined) return "nothing";
    this.output.shown(batch.jobId, batch.sequence);
    this.output.check();
    const texts = batch.lines.map(({ text }) => (text.length > 10 ? `${text.length} long` : text));
    return [...texts, ...(batch.dropped === 0 ? [] : [`${batch.dropped} dropped`])].join(" ");
  }
}

test("lines gather for a moment and leave together; the next batch waits for the first to be shown", () => {
  const w = new World();
  for (const text of ["one", "two"]) w.write(text);
  assert.equal(w.wakeUps, 1);
  assert.equal(w.batches.length, 0);
  w.output.flush();
  for (const text of ["three", "four"]) w.write(text);
  w.output.flush();
  assert.equal(w.batches.length, 1);
  assert.equal(w.show(), "one two");
  assert.equal(w.show(), "three four");
  assert.equal(w.show(), "nothing");
  w.write("five");
  assert.equal(w.wakeUps, 2);
});

test("each job has batches of its own, and one whose driver is slow holds up no other", () => {
  const w = new World();
  w.write("a1");
  w.write("b1", job("b"));
  w.output.flush();
  assert.deepEqual(
    w.batches.map(({ jobId, sequence }) => [jobId, sequence]),
    [
      [A, 1],
      [job("b"), 2],
    ],
  );
  w.output.shown(job("b"), 2);
  w.write("b2", job("b"));
  w.write("a2");
  w.output.flush();
  assert.deepEqual(
    w.batches.map(({ lines }) => lines[0]?.text),
    ["a1", "b1", "b2"],
  );
});

test("a batch is bounded, and a line may be as long as lines are", () => {
  const w = new World();
  const long = "x".repeat(MAX_LOG_LINE_LENGTH);
  for (let i = 0; i < 3; i++) w.write(long);
  w.output.flush();
  const perBatch = Math.floor(MAX_OUTPUT_BATCH_BYTES / (2 * MAX_LOG_LINE_LENGTH + 102));
  assert.equal(w.batches[0]?.lines.length, perBatch);
  for (let shown = 0; shown < 3; shown += perBatch) assert.match(w.show(), /^65536 long/);
  assert.equal(w.show(), "nothing");
});

test("beyond the limit lines are dropped and counted, and the count stands where they are missing", () => {
  const w = new World();
  const long = "x".repeat(MAX_LOG_LINE_LENGTH);
  for (let i = 0; i < 100; i++) w.write(long);
  w.write("short"); // would fit: but the lines before it are missing
  w.output.flush();
  let shown = 0;
  let last = "";
  for (let next = w.show(); next !== "nothing"; next = w.show()) {
    shown += next.split("long").length - 1;
    last = next;
  }
  assert.match(last, new RegExp(` ${100 - shown + 1} dropped$`));
  assert.ok(shown > 20 && shown < 40, `${shown} lines were kept`);
  w.write("afterwards");
  w.output.flush();
  assert.equal(w.show(), "afterwards");
});

test("all jobs together are bounded too", () => {
  const w = new World();
  const long = "x".repeat(MAX_LOG_LINE_LENGTH);
  const jobs = Array.from({ length: 12 }, (_, i) => job(`${i + 10}`));
  for (const each of jobs) for (let i = 0; i < 30; i++) w.write(long, each);
  w.output.check();
  w.output.flush();
  assert.ok(w.batches.length < jobs.length + 1);
  const first = w.batches[0]?.lines.reduce((sum, { text }) => sum + 2 * text.length, 0) ?? 0;
  assert.ok(first * jobs.length < MAX_OUTPUT_BYTES);
});

test("a word about a batch that is not under way is nothing", () => {
  const w = new World();
  w.write("one");
  w.output.flush();
  w.write("two");
  w.output.shown(A, 7);
  w.output.shown(job("b"), 1);
  assert.equal(w.batches.length, 1);
  w.output.shown(A, 1);
  w.output.shown(A, 1);
  assert.deepEqual(
    w.batches.map(({ sequence }) => sequence),
    [1, 2],
  );
});

test("who asks is told when everything so far has been shown, at once if nothing is kept", () => {
  const w = new World();
  const told: string[] = [];
  w.output.whenShown(A, () => told.push("nothing"));
  w.write("one");
  w.output.whenShown(A, () => told.push("all"));
  assert.deepEqual(told, ["nothing"]);
  assert.equal(w.show(), "one"); // it left without the delay
  assert.deepEqual(told, ["nothing", "all"]);
});

test("with its job all is gone, and those who wait are told", () => {
  const w = new World();
  const told: string[] = [];
  w.write("one");
  w.output.flush();
  w.write("two");
  w.output.whenShown(A, () => told.push("over"));
  w.output.jobEnded(A);
  w.output.check();
  assert.deepEqual(told, ["over"]);
  w.output.shown(A, 1);
  assert.equal(w.batches.length, 1);
});

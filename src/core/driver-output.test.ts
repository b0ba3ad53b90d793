// A driver shows each line behind who wrote it, and repeated lines once with their number.
// Method: batches by hand, in a time of our own, and the lines that are written.
import assert from "node:assert/strict";
import { test } from "node:test";
import { job, node } from "../../test/support/names.js";
import { MAX_COLLAPSED_LINE_LENGTH, MAX_REMEMBERED_LINES, OUTPUT_REPEAT_MS } from "../base/limits.js";
import type { OutputLine } from "../protocol/messages.js";
import { DriverOutput } from "./driver-output.js";

const N1 = node("N1");

class World {
  nowMs = 1_000;
  wakeUpMs: number | undefined;
  #lines: string[] = [];
  #sequence = 1;
  readonly output = new DriverOutput({
    write: (stream, line) => this.#lines.push(stream === "stdout" ? line : `${stream}: ${line}`),
    wakeUpAfter: (delayMs) => {
      this.wakeUpMs = this.nowMs + delayMs;
    },
  });

  /** A worker, `pid`, wrote lines. */
  write(pid: number, texts: readonly string[], more: Partial<OutputLine> & { dropped?: number } = {}): void {
    const { dropped = 0, name = "add", stream = "stdout" } = more;
    const lines = texts.map((text) => ({ pid, name, stream, text }));
    this.output.receive({ jobId: job("a"), nodeId: N1, sequence: this.#sequence++, lines, dropped }, this.nowMs);
  }

  wait(ms: number): void {
    const end = this.nowMs + ms;
    while (this.wakeUpMs !== undefined && this.wakeUpMs <= end) {
      this.nowMs = this.wakeUpMs;
      this.wakeUpMs = undefined;
      this.output.tick(this.nowMs);
    }
    this.nowMs = end;
  }

  lines(): string[] {
    return this.#lines.splice(0).map((line) => line.replaceAll(N1, "N1"));
  }
}

test("a line stands behind the name of its task, its process and its node", () => {
  const w = new World();
  w.write(1, ["text"]);
  w.write(2, ["careful"], { name: "Counter", stream: "stderr" });
  w.write(3, ["early"], { name: "" });
  assert.deepEqual(w.lines(), [
    "(add pid=1 node=N1) text",
    "stderr: (Counter pid=2 node=N1) careful",
    "(pid=3 node=N1) early",
  ]);
});

test("repeated lines are shown once, and their number when they have had their time", () => {
  const w = new World();
  w.write(1, ["same", "other", "same", "same"]);
  assert.deepEqual(w.lines(), ["(add pid=1 node=N1) same", "(add pid=1 node=N1) other"]);
  w.wait(OUTPUT_REPEAT_MS - 1);
  w.write(1, ["same"]);
  assert.deepEqual(w.lines(), []);
  w.wait(1);
  assert.deepEqual(w.lines(), ["(add pid=1 node=N1) same [repeated 3×]"]);
  w.wait(10 * OUTPUT_REPEAT_MS);
  assert.deepEqual(w.lines(), []);
  assert.equal(w.wakeUpMs, undefined);
  w.write(1, ["same"]);
  assert.deepEqual(w.lines(), ["(add pid=1 node=N1) same"]);
});

test("a line that goes on being repeated goes on being counted", () => {
  const w = new World();
  for (let i = 0; i < 50; i++) {
    w.write(1, ["same"]);
    w.wait(OUTPUT_REPEAT_MS / 10);
  }
  w.output.end();
  const [first, ...counts] = w.lines();
  assert.equal(first, "(add pid=1 node=N1) same");
  assert.ok(counts.length <= 6, counts.join("\n"));
  assert.equal(
    counts.map((line) => Number(/ same \[repeated (\d+)×\]$/.exec(line)?.[1])).reduce((a, b) => a + b),
    49,
  );
});

test("the same line of many workers is collapsed across the cluster", () => {
  const w = new World();
  for (const pid of [1, 2, 3, 4, 5, 6]) w.write(pid, ["hello"]);
  w.wait(OUTPUT_REPEAT_MS);
  assert.deepEqual(w.lines(), ["(add pid=1 node=N1) hello", "(add pid=6 node=N1) hello [repeated 5× across cluster]"]);
});

test("other streams, other names and blank lines are no repetition", () => {
  const w = new World();
  w.write(1, ["x", "", " ", ""]);
  w.write(1, ["x"], { stream: "stderr" });
  w.write(1, ["x"], { name: "sub" });
  w.write(1, Array(2).fill("y".repeat(MAX_COLLAPSED_LINE_LENGTH + 1)));
  assert.equal(w.lines().length, 8);
});

test("a batch that comes twice is shown once", () => {
  const w = new World();
  const lines = [{ pid: 1, name: "f", stream: "stdout" as const, text: "" }];
  for (const sequence of [1, 1, 2, 2, 1]) {
    w.output.receive({ jobId: job("a"), nodeId: N1, sequence, lines, dropped: 0 }, 0);
  }
  assert.equal(w.lines().length, 2);
});

test("dropped lines are told, after those that came before them", () => {
  const w = new World();
  w.write(1, ["last"], { dropped: 12 });
  const [, told] = w.lines();
  assert.equal(told, "stderr: (node=N1) 12 lines dropped: workers wrote faster than this driver could show");
});

test("what is remembered is bounded; a forgotten line's count is shown", () => {
  const w = new World();
  w.write(1, ["first", "first"]);
  w.write(
    1,
    Array.from({ length: MAX_REMEMBERED_LINES }, (_, i) => `line ${i}`),
  );
  const lines = w.lines();
  assert.equal(lines.length, MAX_REMEMBERED_LINES + 2);
  assert.equal(lines.filter((line) => line === "(add pid=1 node=N1) first [repeated 1×]").length, 1);
});

test("at its end a driver shows the counts that it has", () => {
  const w = new World();
  w.write(1, ["same", "same", "once"]);
  w.lines();
  w.output.end();
  w.output.end();
  assert.deepEqual(w.lines(), ["(add pid=1 node=N1) same [repeated 1×]"]);
});

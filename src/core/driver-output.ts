/**
 * What a driver shows of its workers' output: each line behind who wrote it, and repeated lines once with their number.
 *
 *     (add pid=123 node=0123456789ab) text
 *     (add pid=123 node=0123456789ab) text [repeated 5× across cluster]
 *
 * The first of equal lines is shown at once; those that follow within OUTPUT_REPEAT_MS are counted, and the count is
 * shown when that time is over. Lines are equal when text, stream and task or actor are; blank and very long ones are
 * never collapsed.
 *
 * Ray behaviour: its drivers collapse lines of several workers within 5 s, and take numbers in them for equal; here
 * lines must be the same, and may come from one worker.
 */
import type { NodeId } from "../base/ids.js";
import { MAX_COLLAPSED_LINE_LENGTH, MAX_REMEMBERED_LINES, OUTPUT_REPEAT_MS } from "../base/limits.js";
import type { MessageBody, OutputLine } from "../protocol/messages.js";

type Stream = OutputLine["stream"];

export interface DriverOutputPort {
  write(stream: Stream, line: string): void;
  /** Call `tick` after this time. */
  wakeUpAfter(delayMs: number): void;
}

interface Repeated {
  readonly stream: Stream;
  /** When it was shown, or last counted. */
  sinceMs: number;
  /** How often it came since. */
  count: number;
  /** The line as it came last. */
  shown: string;
  pid: string;
  fromSeveral: boolean;
}

export class DriverOutput {
  readonly #port: DriverOutputPort;
  /** The last batch of each node: one may come twice. */
  readonly #sequences = new Map<NodeId, number>();
  /** Lines that were shown lately; the oldest first. */
  readonly #recent = new Map<string, Repeated>();
  #waking = false;

  constructor(port: DriverOutputPort) {
    this.#port = port;
  }

  receive({ nodeId, sequence, lines, dropped }: MessageBody<"workerOutput">, nowMs: number): void {
    if (sequence <= (this.#sequences.get(nodeId) ?? 0)) return;
    this.#sequences.set(nodeId, sequence);
    for (const line of lines) this.#show(nodeId, line, nowMs);
    if (dropped === 0) return;
    const what = dropped === 1 ? "1 line" : `${dropped} lines`;
    this.#port.write("stderr", `(node=${nodeId}) ${what} dropped: workers wrote faster than this driver could show`);
  }

  /** Counts whose time has come are shown. */
  tick(nowMs: number): void {
    this.#waking = false;
    for (const [key, line] of [...this.#recent]) {
      if (nowMs - line.sinceMs < OUTPUT_REPEAT_MS) continue;
      this.#recent.delete(key);
      if (line.count === 0) continue;
      this.#showCount(line);
      this.#recent.set(key, { ...line, sinceMs: nowMs, count: 0, fromSeveral: false });
    }
    this.#wakeUp(nowMs);
  }

  /** The driver leaves: counts are shown now. */
  end(): void {
    for (const line of this.#recent.values()) if (line.count > 0) this.#showCount(line);
    this.#recent.clear();
  }

  #show(nodeId: NodeId, { pid, name, stream, text }: OutputLine, nowMs: number): void {
    const shown = `(${name === "" ? "" : `${name} `}pid=${pid} node=${nodeId}) ${text}`;
    if (text.trim() === "" || text.length > MAX_COLLAPSED_LINE_LENGTH) return this.#port.write(stream, shown);
    const key = `${stream} ${name}\n${text}`;
    const who = `${nodeId} ${pid}`;
    const before = this.#recent.get(key);
    if (before === undefined) {
      this.#port.write(stream, shown);
      this.#remember(key, { stream, sinceMs: nowMs, count: 0, shown, pid: who, fromSeveral: false });
    } else {
      before.count++;
      before.fromSeveral ||= before.pid !== who;
      before.pid = who;
      before.shown = shown;
    }
    this.#wakeUp(nowMs);
  }

  #remember(key: string, line: Repeated): void {
    this.#recent.set(key, line);
    if (this.#recent.size <= MAX_REMEMBERED_LINES) return;
    for (const [oldest, forgotten] of this.#recent) {
      this.#recent.delete(oldest);
      if (forgotten.count > 0) this.#showCount(forgotten);
      return;
    }
  }

  #showCount({ stream, count, shown, fromSeveral }: Repeated): void {
    this.#port.write(stream, `${shown} [repeated ${count}×${fromSeveral ? " across cluster" : ""}]`);
  }

  #wakeUp(nowMs: number): void {
    const oldest = this.#recent.values().next();
    if (this.#waking || oldest.done) return;
    this.#waking = true;
    this.#port.wakeUpAfter(Math.max(0, oldest.value.sinceMs + OUTPUT_REPEAT_MS - nowMs));
  }
}

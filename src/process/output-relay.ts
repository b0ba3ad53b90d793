/**
 * The node's side of its workers' output: lines in, batches out to the drivers, and the answer to those who ask whether
 * all has been shown.
 */
import { GCS, type JobId, type ProcessRef } from "../base/ids.js";
import { WorkerOutput } from "../core/raylet/worker-output.js";
import type { Message, OutputLine } from "../protocol/messages.js";

export class OutputRelay {
  readonly #send: (to: ProcessRef, message: Message) => void;
  readonly #endLines: (jobId: JobId) => void;
  readonly #output: WorkerOutput;

  /** `endLines`: lines that the job's workers have begun, and will hardly end, come in now. */
  constructor(self: ProcessRef, send: (to: ProcessRef, message: Message) => void, endLines: (jobId: JobId) => void) {
    this.#send = send;
    this.#endLines = endLines;
    this.#output = new WorkerOutput({
      send: (batch) => send(GCS, { type: "workerOutput", nodeId: self.nodeId, ...batch }),
      wakeUpAfter: (delayMs) => void setTimeout(() => this.flush(), delayMs),
    });
  }

  add(jobId: JobId, line: OutputLine): void {
    this.#output.add(jobId, line);
  }

  flush(): void {
    this.#output.flush();
  }

  /** True when the message was for this part of the node alone. */
  receive(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "outputShown":
        this.#output.shown(message.jobId, message.sequence);
        return true;
      case "jobEnded":
        this.#output.jobEnded(message.jobId);
        return false;
      case "collect":
        if (!message.subject.startsWith(OUTPUT_SUBJECT)) return false;
        this.#answerWhenShown(from, message.query, message.subject.slice(OUTPUT_SUBJECT.length) as JobId);
        return true;
      default:
        return false;
    }
  }

  /** What a worker has written is in its pipe when its task has ended; two rounds of the event loop read it. */
  #answerWhenShown(from: ProcessRef, query: number, jobId: JobId): void {
    const answer: Message = { type: "collected", query, json: "[]", last: true };
    const ask = () => {
      this.#endLines(jobId);
      this.#output.whenShown(jobId, () => this.#send(from, answer));
    };
    setImmediate(() => setImmediate(ask));
  }
}

/** The GCS's question about output, with the job's id behind it. */
const OUTPUT_SUBJECT = "#output";

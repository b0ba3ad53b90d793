/**
 * The journey: the lecture's steps as a running system records them.
 *
 * The transition that does a step records it, so that deleting the work deletes the line. Each process keeps one ring
 * of fixed size; nothing is sent until somebody asks (`mobula trace`).
 */
import { JOURNEY_RING_RECORDS, MAX_RECORD_DETAIL } from "../base/limits.js";

export type Plane = "control" | "data" | "–";

interface StepInfo {
  readonly ladder: "task" | "get" | "actor";
  readonly number: number;
  readonly plane: Plane;
}

/** Every step of LECTURE.md, by its name. */
export const STEPS = {
  registerFunction: { ladder: "task", number: 0, plane: "control" },
  submitTask: { ladder: "task", number: 1, plane: "control" },
  forwardToGlobal: { ladder: "task", number: 2, plane: "control" },
  lookUpObjects: { ladder: "task", number: 3, plane: "control" },
  placeTask: { ladder: "task", number: 4, plane: "control" },
  checkArguments: { ladder: "task", number: 5, plane: "control" },
  locateArgument: { ladder: "task", number: 6, plane: "control" },
  fetchArgument: { ladder: "task", number: 7, plane: "data" },
  dispatchTask: { ladder: "task", number: 8, plane: "control" },
  executeTask: { ladder: "task", number: 9, plane: "data" },
  checkLocalStore: { ladder: "get", number: 1, plane: "–" },
  subscribeObject: { ladder: "get", number: 2, plane: "control" },
  storeResult: { ladder: "get", number: 3, plane: "data" },
  registerObject: { ladder: "get", number: 4, plane: "control" },
  notifyWaiters: { ladder: "get", number: 5, plane: "control" },
  fetchResult: { ladder: "get", number: 6, plane: "data" },
  returnValue: { ladder: "get", number: 7, plane: "–" },
  registerActor: { ladder: "actor", number: 1, plane: "control" },
  leaseActorWorker: { ladder: "actor", number: 2, plane: "control" },
  createActor: { ladder: "actor", number: 3, plane: "control" },
  callActor: { ladder: "actor", number: 4, plane: "data" },
} as const satisfies Record<string, StepInfo>;

export type Step = keyof typeof STEPS;
export const STEP_NAMES = Object.keys(STEPS) as readonly Step[];

/** Why a step of a ladder was not needed. */
export type SkipReason =
  | ""
  | "the lease is reused"
  | "everything is local"
  | "no large arguments"
  | "the worker replies to the owner"
  | "the result is small";
const REASONS: readonly SkipReason[] = [
  "",
  "the lease is reused",
  "everything is local",
  "no large arguments",
  "the worker replies to the owner",
  "the result is small",
];

/** One line of a ladder. */
export interface JourneyRecord {
  readonly step: Step;
  /** The task, object or actor whose journey it is. */
  readonly subject: string;
  readonly node: string;
  readonly timeMs: number;
  readonly skipped: SkipReason;
  /** A function's name, an argument's id; of a call, its actor's id. */
  readonly detail: string;
}

/**
 * The ring of one process.
 *
 * Hot path: three records for each task. The subject is kept as a context and a counter because making the id's text
 * costs more than the rest of the record; columns of typed arrays make a record cost no allocation.
 */
export class Journey {
  readonly #node: string;
  readonly #now: () => number;
  readonly #steps = new Uint8Array(JOURNEY_RING_RECORDS);
  readonly #reasons = new Uint8Array(JOURNEY_RING_RECORDS);
  readonly #times = new Float64Array(JOURNEY_RING_RECORDS);
  readonly #counters = new Int32Array(JOURNEY_RING_RECORDS);
  readonly #subjects: string[] = new Array<string>(JOURNEY_RING_RECORDS).fill("");
  readonly #details: string[] = new Array<string>(JOURNEY_RING_RECORDS).fill("");
  #next = 0;

  /** `now` gives milliseconds since the epoch; machines never read it, only records do. */
  constructor(node: string, now: () => number) {
    this.#node = node;
    this.#now = now;
  }

  record(step: Step, subject: string, detail = "", skipped: SkipReason = ""): void {
    this.#put(STEP_INDEX[step], subject, -1, detail, skipped === "" ? 0 : REASONS.indexOf(skipped));
  }

  /** The same for a task that is known by its context and counter. */
  recordTask(step: Step, context: string, counter: number, detail: string, skipped: SkipReason = ""): void {
    this.#put(STEP_INDEX[step], context, counter, detail, skipped === "" ? 0 : REASONS.indexOf(skipped));
  }

  /** The records that the ring still has, oldest first. */
  *records(): IterableIterator<JourneyRecord> {
    const first = Math.max(0, this.#next - JOURNEY_RING_RECORDS);
    for (let n = first; n < this.#next; n++) yield this.#at(n % JOURNEY_RING_RECORDS);
  }

  #put(step: number, subject: string, counter: number, detail: string, reason: number): void {
    const at = this.#next++ % JOURNEY_RING_RECORDS;
    this.#steps[at] = step;
    this.#reasons[at] = reason;
    this.#times[at] = this.#now();
    this.#counters[at] = counter;
    this.#subjects[at] = subject;
    this.#details[at] = detail;
  }

  #at(at: number): JourneyRecord {
    const counter = this.#counters[at] ?? -1;
    const subject = this.#subjects[at] ?? "";
    return {
      step: STEP_NAMES[this.#steps[at] ?? 0] ?? "submitTask",
      subject: counter < 0 ? subject : subject + counter.toString(16).padStart(8, "0"),
      node: this.#node,
      timeMs: this.#times[at] ?? 0,
      skipped: REASONS[this.#reasons[at] ?? 0] ?? "",
      detail: this.#details[at]?.slice(0, MAX_RECORD_DETAIL) ?? "",
    };
  }
}

const STEP_INDEX = Object.fromEntries(STEP_NAMES.map((name, index) => [name, index])) as Record<Step, number>;

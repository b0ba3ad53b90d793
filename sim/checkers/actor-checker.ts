/** I-04: calls of one caller start in the order in which they were made, each at most once, in one process. */
import type { ActorId, ProcessId, ProcessRef, TaskId } from "../../src/base/ids.js";
import { demand } from "./violation.js";

interface CallerLog {
  readonly places: Map<TaskId, number>;
  lastStarted: number;
}

export class ActorChecker {
  readonly #callers = new Map<string, CallerLog>();
  readonly #processes = new Map<ActorId, ProcessId>();
  calls = 0;

  submitted(actor: ActorId, caller: ProcessRef, task: TaskId): void {
    const log = this.#logOf(actor, caller);
    log.places.set(task, log.places.size + 1);
  }

  starts(actor: ActorId, caller: ProcessRef, task: TaskId, process: ProcessRef): void {
    this.calls++;
    const log = this.#logOf(actor, caller);
    const place = log.places.get(task);
    demand(place !== undefined, `call ${task} was made before it started`);
    demand(place > log.lastStarted, `call ${place} of ${caller.processId} starts after its call ${log.lastStarted}`);
    log.lastStarted = place;
    const known = this.#processes.get(actor) ?? process.processId;
    demand(known === process.processId, `actor ${actor} lives in ${known}, and in ${process.processId}`);
    this.#processes.set(actor, known);
  }

  #logOf(actor: ActorId, caller: ProcessRef): CallerLog {
    const key = `${actor} ${caller.processId}`;
    const log = this.#callers.get(key) ?? { places: new Map(), lastStarted: 0 };
    this.#callers.set(key, log);
    return log;
  }
}

/**
 * Lineage: how lost objects are made again, by running their tasks again.
 *
 * One spec for each task, handed over by the owner when a result enters the object table, or before the ref of a result
 * to come leaves it. Such a task is its owner's until that says how it ended, or dies: nobody else runs it. The record lives while a result
 * of its task has an entry, or while another record needs such a result as an argument: of an object that was let go the
 * spec is kept, not the bytes.
 *
 * Nothing is made again before somebody wants it. A rebuild is a lease of the GCS's own, like an actor's: the global
 * scheduler chooses a raylet, which brings the arguments first; wanting a lost argument rebuilds that too. So it makes
 * no difference whether the owner lives, is busy, or died.
 *
 * Decides: whether an object can be made again, and when its task runs.
 * Does not know: bytes, sockets, owners.
 *
 * Invariants: I-02 at most 1 + maxRetries attempts, those before the loss included; I-07 the specs are bounded.
 */
import { assert } from "../../base/assert.js";
import {
  GCS,
  indexOfObject,
  type JobId,
  type LeaseId,
  type NodeId,
  type ObjectId,
  objectIdOf,
  type ProcessId,
  type ProcessRef,
  runOfCopy,
  type TaskId,
  taskOfObject,
} from "../../base/ids.js";
import { MAX_EVICTED_LINEAGE, MAX_LINEAGE_BYTES } from "../../base/limits.js";
import type { Failure, LeaseRequest, LineageSpec, MessageBody } from "../../protocol/messages.js";
import { MISSING } from "../executor/executor.js";
import { Recent } from "../recent.js";
import type { LineageRecord, Rebuild } from "./lineage-record.js";
import { argumentsOf, evicted, exhausted, nameOf, noRoom, sizeOf } from "./lineage-spec.js";
import { NeededTasks } from "./needed-tasks.js";
import type { HolderId } from "./object-port.js";
import type { ObjectTable } from "./object-table.js";

export interface LineagePort {
  placeTask(request: LeaseRequest): void;
  /** The lease is not wanted any more, wherever its request is. */
  cancelLease(leaseId: LeaseId): void;
  returnLease(worker: ProcessRef, leaseId: LeaseId): void;
  /** The spec of its task may be under way: `noSpec` follows when whoever could have it has been heard. */
  askForSpec(object: ObjectId): void;
}

export class Lineage {
  readonly #port: LineagePort;
  readonly #objects: ObjectTable;
  readonly #maxBytes: number;
  /** Oldest first. */
  readonly #records = new Map<TaskId, LineageRecord>();
  /** Tasks that their owners still have run. */
  readonly #unfinished = new Map<ProcessId, Set<TaskId>>();
  readonly #needed = new NeededTasks();
  readonly #rebuilding = new Map<LeaseId, LineageRecord>();
  readonly #evicted = new Recent<TaskId>(MAX_EVICTED_LINEAGE);
  #bytes = 0;
  /** What the object table said in this turn: acted on when it is done. */
  #wanted: ObjectId[] = [];
  #freed: ObjectId[] = [];

  constructor(port: LineagePort, objects: ObjectTable, maxBytes = MAX_LINEAGE_BYTES) {
    this.#port = port;
    this.#objects = objects;
    this.#maxBytes = maxBytes;
  }

  /** An owner hands over the spec of a task. Idempotent: the first stands. */
  register(spec: LineageSpec): void {
    const { taskId } = spec.task;
    if (this.#records.has(taskId)) return;
    const live = new Set<number>();
    for (let i = 0; i < spec.task.numReturns; i++) if (this.#objects.lookUp(objectIdOf(taskId, i))) live.add(i);
    if (live.size === 0 && !this.#needed.has(taskId)) return; // nobody holds a result any more
    // They came before it, by the same way. One that is not there was refused: it cannot be made again.
    if (spec.promoted.some((id) => this.#objects.lookUp(id) === undefined)) return;
    const needs = new Set(argumentsOf(spec).map(taskOfObject));
    needs.delete(taskId); // its promoted arguments
    for (const id of spec.promoted) this.#objects.addHold(holderOf(taskId), id);
    this.#needed.add(needs);
    const { attempt: run } = spec.task;
    const { lostAttempts } = spec;
    const sizeBytes = sizeOf(spec);
    const owner = spec.running ? spec.task.owner.processId : undefined;
    const record = { spec, sizeBytes, live, needs, owner, lostAttempts, run, rebuild: undefined, lastLoss: "" };
    this.#records.set(taskId, record);
    if (owner !== undefined) this.#unfinished.set(owner, (this.#unfinished.get(owner) ?? new Set()).add(taskId));
    this.#bytes += sizeBytes;
    for (const index of live) this.#objects.canBeRebuilt(objectIdOf(taskId, index));
    if (owner === undefined) this.#wantAwaited(record);
    this.#evictBeyondLimit(taskId);
  }

  /** Its owner says how the task fares: tried again, or done. "void": there is no result that could be made again. */
  update(from: ProcessId, { taskId, lostAttempts, run, state }: MessageBody<"updateLineage">): void {
    const record = this.#records.get(taskId);
    if (record?.owner !== from) return;
    record.lostAttempts = lostAttempts;
    record.run = run;
    if (state === "void") this.#remove(record);
    if (state === "done") this.#takeOver(record);
  }

  /** What it has not said the end of nobody else will. */
  ownerDied(owner: ProcessId): void {
    for (const taskId of [...(this.#unfinished.get(owner) ?? [])]) {
      const record = this.#records.get(taskId);
      if (record !== undefined) this.#takeOver(record);
    }
  }

  /** Somebody waits for an object without a copy. */
  wanted(object: ObjectId): void {
    this.#wanted.push(object);
  }

  /** Whoever could have its spec has been heard. */
  noSpec(object: ObjectId): void {
    if (this.#recordOf(object) === undefined) this.#objects.failLost(object, undefined);
  }

  /** The object has no entry any more. */
  freed(object: ObjectId): void {
    this.#freed.push(object);
  }

  /** At the end of each turn of the GCS. */
  settle(): void {
    while (this.#freed.length > 0 || this.#wanted.length > 0) {
      const freed = this.#freed;
      this.#freed = [];
      for (const object of freed) this.#forgetReturn(object);
      const wanted = this.#wanted;
      this.#wanted = [];
      for (const object of wanted) this.#make(object);
    }
  }

  /** True when it was the lease of a rebuild. */
  leaseGranted(leaseId: LeaseId, worker: ProcessRef): boolean {
    const rebuild = this.#rebuilding.get(leaseId)?.rebuild;
    if (rebuild !== undefined) rebuild.worker = worker;
    return rebuild !== undefined;
  }

  /** The worker died, or its node: another attempt, if one is left and somebody still waits. */
  leaseLost(leaseId: LeaseId, reason: Failure): void {
    const record = this.#rebuilding.get(leaseId);
    if (record === undefined) return;
    record.lastLoss = reason.message;
    this.#end(record);
  }

  /** The task cannot run: an argument cannot be had, or no node may take it. */
  leaseRefused(leaseId: LeaseId, reason: Failure): void {
    const record = this.#rebuilding.get(leaseId);
    if (record === undefined) return;
    this.#fail(record, `its task ${nameOf(record.spec)} could not run again: ${reason.message}`);
    this.#end(record);
  }

  /** The worker has answered: results are sealed, or the code threw. */
  rebuilt(leaseId: LeaseId, failure: Failure | undefined): void {
    const record = this.#rebuilding.get(leaseId);
    if (record === undefined) return;
    const worker = record.rebuild?.worker;
    if (worker !== undefined) this.#port.returnLease(worker, leaseId);
    if (failure?.code === MISSING.code)
      record.lostAttempts--; // it has not begun: it waits for its argument again
    else if (failure !== undefined)
      this.#fail(record, `its task ${nameOf(record.spec)} ran again and failed: ${failure.message}`);
    this.#end(record);
  }

  nodeDied(node: NodeId, reason: Failure): void {
    for (const [leaseId, record] of [...this.#rebuilding]) {
      if (record.rebuild?.worker?.nodeId === node) this.leaseLost(leaseId, reason);
    }
  }

  /** Nobody of the job is left to want anything. Its workers end with it. */
  jobEnded(jobId: JobId): void {
    for (const record of [...this.#records.values()]) {
      if (record.spec.task.jobId !== jobId) continue;
      const { rebuild } = record;
      if (rebuild !== undefined) this.#port.cancelLease(rebuild.leaseId);
      if (rebuild !== undefined) this.#stop(record, rebuild);
      if (this.#records.has(record.spec.task.taskId)) this.#remove(record);
    }
  }

  has(task: TaskId): boolean {
    return this.#records.has(task);
  }

  get size(): number {
    return this.#records.size;
  }

  check(): void {
    let bytes = 0;
    for (const [taskId, record] of this.#records) {
      bytes += record.sizeBytes;
      assert(
        record.live.size > 0 || this.#needed.has(taskId) || record.rebuild !== undefined,
        "a spec is kept for somebody",
      );
      assert(
        record.owner === undefined || record.rebuild === undefined,
        "a task that its owner has run is not rebuilt",
      );
      for (const needed of record.needs) assert(this.#needed.has(needed), "what a record needs is counted");
    }
    assert(bytes === this.#bytes, "the bytes of all specs add up");
    for (const [leaseId, { rebuild }] of this.#rebuilding) {
      assert(rebuild?.leaseId === leaseId, "a rebuild is filed under its lease");
    }
  }

  /** An object is wanted that has no copy: run its task again, or say why that cannot be. */
  #make(object: ObjectId): void {
    if (!this.#objects.isLost(object)) return; // it came back meanwhile, or nobody holds it any more
    const record = this.#recordOf(object);
    if (record === undefined) {
      if (!this.#evicted.has(taskOfObject(object))) return this.#port.askForSpec(object);
      return this.#objects.failLost(object, evicted(object));
    }
    record.live.add(indexOfObject(object)); // its ref may have left its owner after the spec had
    if (record.rebuild === undefined && record.owner === undefined) this.#start(record);
  }

  /** Of an object that its task makes. */
  #recordOf(object: ObjectId): LineageRecord | undefined {
    const record = this.#records.get(taskOfObject(object));
    return record !== undefined && indexOfObject(object) < record.spec.task.numReturns ? record : undefined;
  }

  /** Its owner is done with it: what has a copy or had one is made again from here on. */
  #takeOver(record: LineageRecord): void {
    this.#forgetOwner(record);
    record.owner = undefined;
    const { taskId, numReturns } = record.spec.task;
    for (let i = 0; i < numReturns; i++) if (this.#objects.lookUp(objectIdOf(taskId, i))) record.live.add(i);
    this.#wantAwaited(record);
  }

  #forgetOwner({ owner, spec }: LineageRecord): void {
    const tasks = owner && this.#unfinished.get(owner);
    if (tasks?.delete(spec.task.taskId) && tasks.size === 0) this.#unfinished.delete(owner as ProcessId);
  }

  #start(record: LineageRecord): void {
    const { spec, lostAttempts } = record;
    const { task, maxRetries } = spec;
    if (maxRetries !== undefined && lostAttempts >= maxRetries) return this.#fail(record, exhausted(record));
    const held = argumentsOf(spec).filter((id) => taskOfObject(id) !== task.taskId);
    if (!this.#objects.hasRoomFor(held)) return this.#fail(record, noRoom(spec, this.#objects.maxObjects));
    record.lostAttempts++;
    record.run++;
    const sizes = held.map((id) => this.#revive(task.taskId, id));
    const leaseId = `${task.taskId}.${record.run.toString(16)}` as LeaseId;
    record.rebuild = { leaseId, held, worker: undefined };
    this.#rebuilding.set(leaseId, record);
    const large = task.arguments.flatMap((arg) => {
      if (arg.kind !== "object") return [];
      const at = held.indexOf(arg.objectId);
      return [{ objectId: arg.objectId, sizeBytes: sizes[at] ?? this.#objects.lookUp(arg.objectId)?.sizeBytes ?? 0 }];
    });
    this.#port.placeTask({
      leaseId,
      owner: GCS,
      jobId: task.jobId,
      namespace: "",
      name: task.name,
      taskId: task.taskId,
      demand: spec.demand,
      held: spec.demand,
      strategy: spec.strategy,
      depth: task.depth,
      exclusive: false,
      arguments: large,
      task: { ...task, owner: GCS, attempt: runOfCopy(record.run), storeResult: true },
    });
  }

  /** An argument is needed: one that was let go has an entry again, without a copy. Says its size. */
  #revive(forTask: TaskId, object: ObjectId): number {
    const isNew = this.#objects.lookUp(object) === undefined;
    this.#objects.revive(holderOf(forTask), object);
    if (isNew) this.#records.get(taskOfObject(object))?.live.add(indexOfObject(object));
    return this.#objects.lookUp(object)?.sizeBytes ?? 0;
  }

  /** The run is over. Who still waits for a result that did not come starts the next one. */
  #end(record: LineageRecord): void {
    const { rebuild } = record;
    if (rebuild === undefined) return;
    this.#stop(record, rebuild);
    this.#wantAwaited(record);
    this.#removeIfUnneeded(record.spec.task.taskId);
  }

  #wantAwaited({ spec, live }: LineageRecord): void {
    for (const index of live) {
      const object = objectIdOf(spec.task.taskId, index);
      if (this.#objects.isLost(object) && this.#objects.isAwaited(object)) this.#wanted.push(object);
    }
  }

  #stop(record: LineageRecord, rebuild: Rebuild): void {
    this.#rebuilding.delete(rebuild.leaseId);
    record.rebuild = undefined;
    for (const id of rebuild.held) this.#objects.release(holderOf(record.spec.task.taskId), id);
  }

  #fail(record: LineageRecord, why: string): void {
    const { taskId } = record.spec.task;
    for (const index of record.live) {
      const object = objectIdOf(taskId, index);
      if (!this.#objects.isLost(object)) continue;
      const message = `object ${object} is lost (${this.#objects.howLost(object)}) and could not be made again: ${why}`;
      this.#objects.failLost(object, { code: "OBJECT_RECONSTRUCTION", message });
    }
  }

  #forgetReturn(object: ObjectId): void {
    if (this.#objects.lookUp(object) !== undefined) return; // it has an entry again
    const taskId = taskOfObject(object);
    if (!this.#records.get(taskId)?.live.delete(indexOfObject(object))) return;
    this.#removeIfUnneeded(taskId);
  }

  /** Nobody can ask for a result of the task any more; perhaps for none of those that it took either. */
  #removeIfUnneeded(first: TaskId): void {
    const candidates = [first];
    for (let taskId = candidates.pop(); taskId !== undefined; taskId = candidates.pop()) {
      const record = this.#records.get(taskId);
      if (record === undefined || record.live.size > 0 || this.#needed.has(taskId)) continue;
      const { rebuild } = record;
      if (rebuild?.worker !== undefined) continue; // it runs: what its code does is done to the end
      if (rebuild !== undefined) {
        this.#port.cancelLease(rebuild.leaseId);
        this.#stop(record, rebuild);
      }
      candidates.push(...this.#unlink(record));
    }
  }

  #remove(record: LineageRecord): void {
    for (const taskId of this.#unlink(record)) this.#removeIfUnneeded(taskId);
  }

  /** Says which tasks nobody needs for this one any more. */
  #unlink(record: LineageRecord): readonly TaskId[] {
    const { spec, needs, sizeBytes } = record;
    const { taskId } = spec.task;
    this.#records.delete(taskId);
    this.#forgetOwner(record);
    this.#bytes -= sizeBytes;
    for (const id of spec.promoted) this.#objects.release(holderOf(taskId), id);
    return this.#needed.remove(needs);
  }

  #evictBeyondLimit(newest: TaskId): void {
    if (this.#bytes <= this.#maxBytes) return;
    for (const [taskId, record] of this.#records) {
      if (this.#bytes <= this.#maxBytes || taskId === newest) return;
      if (record.rebuild !== undefined) continue;
      this.#evicted.add(taskId);
      this.#remove(record);
    }
  }
}

/** Holds of a rebuild and of a record are in the name of the task. */
function holderOf(task: TaskId): HolderId {
  return task as string as HolderId;
}

/**
 * The writing of objects into the node's store: a writer makes blocks in extents that its raylet has leased to it, and
 * hands over, sealed, those that others may ask for.
 *
 * Lecture: step `storeResult`, seen from the process that has the bytes.
 *
 * Decides: when more room is asked for, when garbage is looked for, what is given back.
 * Does not know: bytes, refs, connections.
 *
 * Invariants: I-05 what nobody can reach is freed; I-06; I-08 what is not used goes back.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId, ProcessRef } from "../../base/ids.js";
import {
  COLLECT_AFTER_BYTES,
  EXTENT_IDLE_MS,
  FALLBACK_OFFSET,
  MAX_COLLECT_AFTER_BYTES,
  MAX_COLLECT_UNDER_PRESSURE_BYTES,
} from "../../base/limits.js";
import type { Failure, Message, MessageBody } from "../../protocol/messages.js";
import type { Range } from "./allocator.js";
import { ExtentSpace, LocalBlock } from "./extent-space.js";

export interface ObjectWriterPort {
  /** To the raylet, some time soon. */
  send(message: Message): void;
  /**
   * Ask the raylet for room and wait, whatever the process is in the middle of; what stands in `before` is said first,
   * the same way. Undefined when no answer came in time: a late one is given to `receive`. Or why there will be none.
   */
  ask(request: Message & { readonly type: "leaseExtent" }, before: readonly Message[]): Message | Failure | undefined;
  /**
   * Let go of objects whose refs are garbage: their blocks come back by `free`. True when there was anything in the store
   * that this process has let go of, its own or not.
   */
  collect(): boolean;
  /** The raylet must be able to move this block's object out of the way: `handOver` follows. */
  announce(block: LocalBlock): void;
  nowMs(): number;
  /** Call `tick` then. */
  wakeUpAfter(delayMs: number): void;
}

/** What an object's block is to everybody else. */
export interface Announcement {
  readonly objectId: ObjectId;
  /** The run of its task that made the value. */
  readonly attempt: number;
  /** Who holds the object from its registration on; a copy that nobody waits for with a hold has none. */
  readonly holder: ProcessRef | undefined;
  readonly contains: readonly ObjectId[];
}

type Done = (failure: Failure | undefined) => void;

export class ObjectWriter {
  readonly #port: ObjectWriterPort;
  readonly #space: ExtentSpace;
  /** Told once the object table has the object, or has refused it. */
  readonly #announced = new Map<ObjectId, Done[]>();
  /** Messages that travel with a request, while it is made. */
  #before: Message[] | undefined;
  #nextRequest = 1;
  #bytesSinceCollect = 0;
  #collectAfterBytes = COLLECT_AFTER_BYTES;
  /** When the store is full it is worth while earlier. */
  #collectUnderPressureAfterBytes = 1;
  /** What was found is under way to the raylet: a question may come before it. */
  #hasLetGo = false;
  #usedAtMs = 0;
  #sleeping = false;

  constructor(port: ObjectWriterPort) {
    this.#port = port;
    this.#space = new ExtentSpace();
  }

  /** A block to write into: `written` or `free` follows, in the same turn. Or why there is no room. */
  allocate(sizeBytes: number): LocalBlock | Failure {
    this.#hasLetGo = false;
    const room =
      this.#space.allocate(sizeBytes) ??
      this.#allocateAfterCollect(sizeBytes, this.#collectAfterBytes) ??
      this.#allocateFromLease(sizeBytes, false);
    const block =
      room instanceof LocalBlock ? room : this.#allocateUnderPressure(sizeBytes, room?.code !== "OUT_OF_DISK");
    if (block instanceof LocalBlock) this.#bytesSinceCollect += sizeBytes;
    this.#used();
    return block;
  }

  written(block: LocalBlock): void {
    this.#space.written(block);
  }

  free(block: LocalBlock): void {
    this.#space.free(block);
    this.#used();
  }

  /** A reader of this process uses the block's bytes in place. */
  pin(block: LocalBlock): void {
    this.#space.pin(block);
  }

  unpin(block: LocalBlock): void {
    const { objectId, offset } = block;
    if (objectId !== undefined) return this.#port.send({ type: "releaseBlock", objectId, offset });
    this.#space.unpin(block);
    this.#used();
  }

  /**
   * Lecture, `storeResult`: the object is everybody's. `done` is called once: when the object table has it, or with the
   * reason why not.
   */
  handOver(block: LocalBlock, { objectId, attempt, holder, contains }: Announcement, done: Done): void {
    const pins = this.#space.handOver(block, objectId);
    const told = this.#announced.get(objectId);
    if (told === undefined) this.#announced.set(objectId, [done]);
    else told.push(done); // two attempts of one task
    const { offset, sizeBytes } = block;
    const message: Message = { type: "sealObject", objectId, offset, sizeBytes, pins, attempt, holder, contains };
    if (this.#before === undefined) this.#port.send(message);
    else this.#before.push(message);
  }

  /** Run an action once all that was handed over so far is in the object table, or refused. */
  whenAnnounced(action: () => void): void {
    let left = this.#announced.size;
    if (left === 0) return action();
    for (const told of this.#announced.values()) {
      told.push(() => {
        if (--left === 0) action();
      });
    }
  }

  /** True when the message was for a writer. */
  receive(message: Message): boolean {
    switch (message.type) {
      case "objectSealed":
        this.#end(message.objectId, undefined);
        return true;
      case "objectRefused":
        this.#end(message.objectId, message.reason);
        return true;
      case "extentLeased":
        this.#space.add(message); // the answer to a request that was given up
        this.#used();
        return true;
      case "extentRefused":
        return true;
      case "extentsWanted":
        for (const block of this.#space.local()) this.#port.announce(block);
        for (const range of this.#space.takeFree()) this.#port.send(returned(range));
        return true;
      default:
        return false;
    }
  }

  /** Time has passed: what was not used for a while goes back. */
  tick(): void {
    this.#sleeping = false;
    const idleMs = this.#port.nowMs() - this.#usedAtMs;
    if (idleMs < EXTENT_IDLE_MS) return this.#sleep(EXTENT_IDLE_MS - idleMs);
    for (const range of this.#space.takeFree()) this.#port.send(returned(range));
  }

  /** Blocks of objects that nobody else knows. */
  local(): readonly LocalBlock[] {
    return this.#space.local();
  }

  /** Every range that this writer may touch. */
  ranges(): Iterable<Range> {
    return this.#space.ranges();
  }

  check(): void {
    this.#space.check();
    assert(this.#before === undefined, "a request is made in one go");
    assert(this.#sleeping || this.#space.freeBytes === 0, "what is not used will go back");
  }

  /** After so many bytes it is worth while to look for objects that nobody names any more. */
  #allocateAfterCollect(sizeBytes: number, afterBytes: number): LocalBlock | undefined {
    if (this.#bytesSinceCollect < afterBytes) return undefined;
    const before = this.#space.blockBytes;
    this.#hasLetGo = this.#port.collect() || this.#hasLetGo;
    const found = before - this.#space.blockBytes;
    // Nothing is not half of nothing: a process whose blocks have all been handed over would collect for each further one.
    this.#collectUnderPressureAfterBytes =
      found > 0 && 2 * found >= Math.min(before, this.#bytesSinceCollect)
        ? 1
        : Math.min(2 * Math.max(this.#collectUnderPressureAfterBytes, sizeBytes), MAX_COLLECT_UNDER_PRESSURE_BYTES);
    this.#bytesSinceCollect = 0;
    this.#collectAfterBytes =
      found > 0 && 2 * found >= before
        ? COLLECT_AFTER_BYTES
        : Math.min(2 * this.#collectAfterBytes, MAX_COLLECT_AFTER_BYTES);
    return this.#space.allocate(sizeBytes);
  }

  #allocateFromLease(minBytes: number, last: boolean): LocalBlock | Failure | undefined {
    const request = this.#nextRequest++;
    const before = this.#before ?? [];
    this.#before = undefined;
    const letGo = last && this.#hasLetGo;
    if (last) this.#hasLetGo = false;
    const answer = this.#port.ask({ type: "leaseExtent", request, minBytes, last, letGo }, before);
    if (answer === undefined || !("type" in answer)) return answer;
    if (answer.type === "extentLeased") {
      this.#space.add(answer);
      return this.#space.allocate(minBytes);
    }
    return answer.type === "extentRefused" ? answer.reason : undefined;
  }

  /**
   * The store is full. Garbage is looked for when it is worth while, with this object; without disk the next answer may be
   * an error, and nobody else can find what this process has dropped: then always.
   */
  #allocateUnderPressure(sizeBytes: number, hasDisk: boolean): LocalBlock | Failure {
    const afterBytes = hasDisk ? this.#collectUnderPressureAfterBytes - sizeBytes : 0;
    const found = this.#allocateAfterCollect(sizeBytes, afterBytes);
    if (found !== undefined) return found;
    const room = this.#allocateAtLast(sizeBytes);
    if (room instanceof LocalBlock || !hasDisk) return room;
    // There was disk when this was asked first, and none in the end.
    return this.#allocateAfterCollect(sizeBytes, 0) ?? (this.#hasLetGo ? this.#allocateAtLast(sizeBytes) : room);
  }

  /** Give everything that can be given, then ask for the last time. */
  #allocateAtLast(sizeBytes: number): LocalBlock | Failure {
    const ownBytes = this.#space.blockBytes;
    this.#before = [];
    for (const block of this.#space.local()) this.#port.announce(block);
    this.#before.push(...this.#space.takeFree().map(returned));
    return this.#allocateFromLease(sizeBytes, true) ?? noAnswer(sizeBytes, ownBytes);
  }

  #end(objectId: ObjectId, failure: Failure | undefined): void {
    const told = this.#announced.get(objectId) ?? [];
    this.#announced.delete(objectId);
    for (const done of told) done(failure);
  }

  #used(): void {
    for (const range of this.#space.takeFree(FALLBACK_OFFSET)) this.#port.send(returned(range)); // disk is not kept
    this.#usedAtMs = this.#port.nowMs();
    if (!this.#sleeping && this.#space.freeBytes > 0) this.#sleep(EXTENT_IDLE_MS);
  }

  #sleep(delayMs: number): void {
    this.#sleeping = true;
    this.#port.wakeUpAfter(delayMs);
  }
}

function returned({ offset, length }: Range): Message & MessageBody<"returnExtent"> {
  return { type: "returnExtent", offset, sizeBytes: length };
}

/** The raylet knows who keeps the store full; without its answer this process knows what it has itself. */
function noAnswer(sizeBytes: number, ownBytes: number): Failure {
  const message = `the raylet did not answer in time when this process asked for ${sizeBytes} bytes of its store, where ${ownBytes} bytes are of objects that it alone knows: the node is overloaded, try again`;
  return { code: "OBJECT_STORE_FULL", message };
}

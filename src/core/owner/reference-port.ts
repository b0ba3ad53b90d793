/** What a process's table of refs asks of the world. */
import type { ObjectId, ProcessRef } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import type { HoldsPort } from "./holds.js";
import type { ObjectEntry, Opaque, Task } from "./records.js";

export interface ReferenceTablePort extends HoldsPort {
  sendToRaylet(message: Message): void;
  /** Seal an inline value in the local store; `stored` or `storeFailed` follow. */
  storeValue(entry: ObjectEntry): void;
  /** Hand the block of a local object over to the raylet, sealed; `stored` or `storeFailed` follows. */
  announceLocal(entry: ObjectEntry): void;
  /** The value of a local object, which is pinned where it is. */
  readLocal(entry: ObjectEntry): Opaque;
  /** The value of a stored object whose block is pinned for this process already; undefined: the raylet is asked. */
  readPinned(id: ObjectId): Opaque | undefined;
  /** The one who waited was given what one of these two has read. The block may go when the last is done with it. */
  doneReadingHere(entry: ObjectEntry, value: Opaque): void;
  /** Nobody needs the local object any more. */
  freeLocal(entry: ObjectEntry): void;
  /** The value of an object in the local store, where its block is pinned. */
  readObject(id: ObjectId, offset: number, sizeBytes: number): Opaque;
  /** All who waited were given the value (undefined: nobody did). The block goes when the last is done with it. */
  doneReading(id: ObjectId, offset: number, value: Opaque): void;
  /** The object lives outside this process: `dropRef` must follow when the user's ref object is garbage. */
  track(entry: ObjectEntry, handle: object): void;
  /** Every object that the task waits for here can be sent now. */
  dependencyReady(task: Task): void;
  /** The worker that the task was pushed to. */
  runnerOf(task: Task): ProcessRef | undefined;
  /** The ref of a result is about to leave, before there is a value. */
  resultEscapes(task: Task): void;
}

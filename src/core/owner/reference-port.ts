/** What a process's table of refs asks of the world. */
import type { ObjectId } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import type { ObjectEntry, Opaque, Task } from "./records.js";

export interface ReferenceTablePort {
  sendToRaylet(message: Message): void;
  sendToGcs(message: Message): void;
  /** Seal an inline value in the local store; `stored` or `storeFailed` follow. */
  storeValue(entry: ObjectEntry): void;
  /** Hand the block of a local object over to the raylet, sealed; `stored` follows. */
  announceLocal(entry: ObjectEntry): void;
  /** The value of a local object, which stays where it is. */
  readLocal(entry: ObjectEntry): Opaque;
  /** Nobody needs the local object any more. */
  freeLocal(entry: ObjectEntry): void;
  /** Copy an object out of the local store: its block is released afterwards. */
  readObject(id: ObjectId, offset: number, sizeBytes: number): Opaque;
  /** The object lives outside this process: `dropRef` must follow when the user's ref object is garbage. */
  track(entry: ObjectEntry, handle: object): void;
  /** Every object that the task waits for here can be sent now. */
  dependencyReady(task: Task): void;
  /** Call `flush` at the end of this turn. */
  wakeUp(): void;
}

/** What this node's store gives to pullers: sealed objects, and those that are arriving themselves. */
import type { NodeId, ObjectId, ProcessId } from "../base/ids.js";
import { PARTIAL_COPY_WAIT_MS } from "../base/limits.js";
import type { PullSource } from "../core/raylet/node-store.js";
import type { Raylet } from "../core/raylet/raylet.js";
import { PartialCopy } from "../io/partial-copy.js";
import type { TransferBlock, TransferSource } from "../io/transfer.js";
import type { NodeDisk } from "./node-disk.js";

export interface ServedObjectsPort {
  raylet(): Raylet | undefined;
  /** Run something in the raylet's machine. */
  enter(action: () => void): void;
}

export class ServedObjects implements TransferSource {
  readonly #reader: ProcessId;
  readonly #disk: NodeDisk;
  readonly #port: ServedObjectsPort;
  readonly #arriving = new Map<string, PartialCopy>();
  /** What the store keeps for pullers that read it. */
  readonly #kept = new Map<TransferBlock, PullSource>();
  /** Blocks of objects that were arriving when they were opened. */
  readonly #partial = new Map<PartialCopy, Set<TransferBlock>>();
  readonly #expected = new Map<string, Set<() => void>>();

  constructor(self: NodeId, disk: NodeDisk, port: ServedObjectsPort) {
    this.#reader = self as string as ProcessId;
    this.#disk = disk;
    this.#port = port;
  }

  open(objectId: string): TransferBlock | undefined {
    const source = this.#openPull(objectId as ObjectId);
    if (source === undefined) return this.#openPartial(objectId);
    const block = source.kind === "memory" ? source : this.#disk.reader(objectId as ObjectId, source);
    this.#kept.set(block, source);
    return block;
  }

  close(objectId: string, block: TransferBlock, sentBytes: number): void {
    if ("partial" in block && block.partial !== undefined) this.#partial.get(block.partial)?.delete(block);
    const source = this.#kept.get(block);
    this.#kept.delete(block);
    const storage = this.#port.raylet()?.storage;
    if (storage === undefined) return;
    storage.objects.servedBytes += sentBytes;
    if (source === undefined) return;
    this.#port.enter(() => storage.closePull(objectId as ObjectId, this.#reader, source));
  }

  coming(objectId: string): Promise<void> | undefined {
    if (this.#port.raylet()?.storage.objects.isPulling(objectId as ObjectId) !== true) return undefined;
    return new Promise((resolve) => {
      const waiting = this.#expected.get(objectId) ?? new Set();
      this.#expected.set(objectId, waiting);
      const done = () => {
        clearTimeout(timer);
        waiting.delete(done);
        if (waiting.size === 0) this.#expected.delete(objectId);
        resolve();
      };
      const timer = setTimeout(done, PARTIAL_COPY_WAIT_MS);
      waiting.add(done);
    });
  }

  /** An object begins to arrive at this place. */
  begin(objectId: ObjectId, offset: number, sizeBytes: number): PartialCopy {
    const partial = new PartialCopy(offset, sizeBytes);
    this.#arriving.set(objectId, partial);
    this.#partial.set(partial, new Set());
    for (const done of [...(this.#expected.get(objectId) ?? [])]) done();
    return partial;
  }

  /** The raylet has sealed it: from here on it is kept like any other, for those who are reading it already. */
  sealed(objectId: ObjectId, partial: PartialCopy): void {
    for (const block of this.#forget(objectId, partial)) {
      const source = this.#openPull(objectId);
      if (source === undefined) return partial.lose(); // it has been freed, or has given way
      this.#kept.set(block, source);
      if (source.kind !== "memory" || source.offset !== partial.offset) return partial.lose();
    }
  }

  /** It will not be whole. Before its place is given to another object. */
  lost(objectId: ObjectId, partial: PartialCopy): void {
    this.#forget(objectId, partial);
    partial.lose();
  }

  #openPartial(objectId: string): TransferBlock | undefined {
    const partial = this.#arriving.get(objectId);
    if (partial === undefined) return undefined;
    const block = { offset: partial.offset, sizeBytes: partial.sizeBytes, partial };
    this.#partial.get(partial)?.add(block);
    return block;
  }

  #openPull(objectId: ObjectId): PullSource | undefined {
    return this.#port.raylet()?.storage.openPull(objectId, this.#reader);
  }

  #forget(objectId: ObjectId, partial: PartialCopy): ReadonlySet<TransferBlock> {
    if (this.#arriving.get(objectId) === partial) this.#arriving.delete(objectId);
    const blocks = this.#partial.get(partial) ?? new Set();
    this.#partial.delete(partial);
    return blocks;
  }
}

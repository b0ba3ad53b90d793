/** What this node's store gives to pullers: sealed objects, and those that are arriving themselves. */
import type { NodeId, ObjectId, ProcessId } from "../base/ids.js";
import { PARTIAL_COPY_WAIT_MS } from "../base/limits.js";
import type { Raylet } from "../core/raylet/raylet.js";
import { PartialCopy } from "../io/partial-copy.js";
import type { TransferBlock, TransferSource } from "../io/transfer.js";

export class ServedObjects implements TransferSource {
  readonly #reader: ProcessId;
  readonly #raylet: () => Raylet | undefined;
  readonly #arriving = new Map<string, PartialCopy>();
  /** Blocks that pullers read, which the store keeps for them. */
  readonly #pinned = new Set<TransferBlock>();
  /** Blocks of objects that were arriving when they were opened. */
  readonly #partial = new Map<PartialCopy, Set<TransferBlock>>();
  readonly #expected = new Map<string, Set<() => void>>();

  constructor(self: NodeId, raylet: () => Raylet | undefined) {
    this.#reader = self as string as ProcessId;
    this.#raylet = raylet;
  }

  open(objectId: string): TransferBlock | undefined {
    const sealed = this.#raylet()?.store.pin(objectId as ObjectId, this.#reader);
    const partial = sealed === undefined ? this.#arriving.get(objectId) : undefined;
    const place = sealed ?? partial;
    if (place === undefined) return undefined;
    const block: TransferBlock = { offset: place.offset, sizeBytes: place.sizeBytes, partial };
    if (partial === undefined) this.#pinned.add(block);
    else this.#partial.get(partial)?.add(block);
    return block;
  }

  close(objectId: string, block: TransferBlock, sentBytes: number): void {
    const raylet = this.#raylet();
    if (raylet !== undefined) raylet.objects.servedBytes += sentBytes;
    if (block.partial !== undefined) this.#partial.get(block.partial)?.delete(block);
    if (!this.#pinned.delete(block)) return;
    raylet?.store.unpin(objectId as ObjectId, this.#reader, block.offset);
  }

  coming(objectId: string): Promise<void> | undefined {
    if (this.#raylet()?.objects.isPulling(objectId as ObjectId) !== true) return undefined;
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
    const blocks = this.#forget(objectId, partial);
    for (const block of blocks) {
      const pinned = this.#raylet()?.store.pin(objectId, this.#reader);
      if (pinned?.offset !== block.offset) return this.#drop(objectId, partial, pinned?.offset);
      this.#pinned.add(block);
    }
  }

  /** It will not be whole. Before its place is given to another object. */
  lost(objectId: ObjectId, partial: PartialCopy): void {
    this.#forget(objectId, partial);
    partial.lose();
  }

  #drop(objectId: ObjectId, partial: PartialCopy, offset: number | undefined): void {
    if (offset !== undefined) this.#raylet()?.store.unpin(objectId, this.#reader, offset);
    partial.lose();
  }

  #forget(objectId: ObjectId, partial: PartialCopy): ReadonlySet<TransferBlock> {
    if (this.#arriving.get(objectId) === partial) this.#arriving.delete(objectId);
    const blocks = this.#partial.get(partial) ?? new Set();
    this.#partial.delete(partial);
    return blocks;
  }
}

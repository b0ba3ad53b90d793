/**
 * This process's way into its node's store: values are written straight into blocks of its extents, stay known to it
 * alone, and are handed over when others may ask for them. The machine in core decides; this page moves bytes.
 *
 * Lecture: step `storeResult`.
 */
import type { NodeId, ObjectId, ProcessRef } from "../base/ids.js";
import { type Held, ObjectEntry } from "../core/owner/records.js";
import type { ReferenceTable } from "../core/owner/reference-table.js";
import { type Place, placeOf } from "../core/store/entry.js";
import { LocalBlock } from "../core/store/extent-space.js";
import { type OwnObject, ownInWords } from "../core/store/holders.js";
import { ObjectWriter, type ObjectWriterPort } from "../core/store/object-writer.js";
import { errorFromCode, ObjectStoreFullError, OutOfDiskError } from "../errors.js";
import type { Arena } from "../io/arena.js";
import type { Failure, Message } from "../protocol/messages.js";
import { readStored, type StoredObject } from "./stored-value.js";

/** What a value names, and must be kept alive with it. */
export interface Naming {
  readonly contains: readonly ObjectId[];
  readonly held: readonly Held[];
}

/** A value in a block of this process. */
export class LocalValue implements Naming {
  readonly block: LocalBlock;
  readonly contains: readonly ObjectId[];
  readonly held: readonly Held[];

  constructor(block: LocalBlock, { contains, held }: Naming) {
    this.block = block;
    this.contains = contains;
    this.held = held;
  }

  get sizeBytes(): number {
    return this.block.sizeBytes;
  }
}

export interface LocalStoreOptions {
  readonly arena: () => Arena;
  /** What a value names is kept from its placing on, until the object table knows what the object contains. */
  readonly keep: (held: Held) => void;
  readonly letGo: (held: Held) => void;
  /** `storedAt` this node. */
  readonly stored: () => Iterable<OwnObject>;
  readonly port: Omit<ObjectWriterPort, "wakeUpAfter">;
}

export class LocalStore {
  readonly #options: LocalStoreOptions;
  readonly #writer: ObjectWriter;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: LocalStoreOptions) {
    this.#options = options;
    this.#writer = new ObjectWriter({
      ...options.port,
      wakeUpAfter: (delayMs) => {
        this.#timer = setTimeout(() => this.#writer.tick(), delayMs).unref();
      },
    });
  }

  /**
   * Write a value into a block of its own, before anybody's code runs again. `free` or `handOver` follows.
   *
   * @throws ObjectStoreFullError when the store cannot take it, after waiting for room.
   */
  place(pieces: readonly Uint8Array[], naming: Naming): LocalValue {
    for (const each of naming.held) this.#options.keep(each);
    try {
      return new LocalValue(this.#write(pieces), naming);
    } catch (error) {
      for (const each of naming.held) this.#options.letGo(each);
      throw error;
    }
  }

  /** Objects that nobody else knows: the raylet sees only the extents that they lie in. */
  *localEntries(): IterableIterator<readonly [ObjectEntry, Place]> {
    for (const block of this.#writer.local()) {
      if (block.owner instanceof ObjectEntry) yield [block.owner, placeOf(block)];
    }
  }

  /** The value where it lies, pinned like any in the store: the caller `release`s it; mappings keep the block longer. */
  read({ block }: LocalValue): StoredObject {
    this.#writer.pin(block);
    return readStored(this.#options.arena(), block.offset, block.sizeBytes, () => this.#unpin(block));
  }

  free(value: LocalValue): void {
    this.#writer.free(value.block);
    for (const each of value.held) this.#options.letGo(each);
  }

  /**
   * `attempt`: the run of its task that made the value. `done` is called once: when the object table has the object, with
   * `holder`'s hold, or with the reason why it has not; then the block is gone.
   */
  handOver(
    value: LocalValue,
    objectId: ObjectId,
    attempt: number,
    holder: ProcessRef | undefined,
    done: (failure: Failure | undefined) => void,
  ): void {
    this.#writer.handOver(value.block, { objectId, attempt, holder, contains: value.contains }, (failure) => {
      done(failure);
      for (const each of value.held) this.#options.letGo(each);
    });
  }

  /** Run an action once all that was handed over so far is in the object table, or refused. */
  whenAnnounced(action: () => void): void {
    this.#writer.whenAnnounced(action);
  }

  /** True when the message was for a writer. */
  receive(message: Message): boolean {
    return this.#writer.receive(message);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** A mapping may outlive the connection: then the raylet has this process's extents and pins back. */
  #unpin(block: LocalBlock): void {
    if (!this.#closed) this.#writer.unpin(block);
  }

  #write(pieces: readonly Uint8Array[]): LocalBlock {
    const block = this.#writer.allocate(pieces.reduce((sum, piece) => sum + piece.length, 0));
    if (!(block instanceof LocalBlock)) throw errorFromCode(block.code, block.message);
    try {
      this.#options.arena().write(block.offset, pieces);
    } catch (error) {
      this.#writer.free(block);
      throw this.#explained(error);
    }
    this.#writer.written(block);
    return block;
  }

  /** The file system had no room for a block that was given. The raylet is not asked: what is said is what is known here. */
  #explained(error: unknown): unknown {
    if (!isNoRoom(error)) return error;
    const Kind = error instanceof OutOfDiskError ? OutOfDiskError : ObjectStoreFullError;
    const message = `${error.message}. ${ownInWords(this.#own())}. Free space there, or drop refs`;
    return new Kind(message, { cause: error });
  }

  *#own(): Iterable<OwnObject> {
    for (const [entry] of this.localEntries()) yield entry;
    yield* this.#options.stored();
  }
}

/** Why a value could not be placed. Any other error goes on. */
export function noRoom(error: unknown): Failure {
  if (!isNoRoom(error)) throw error;
  return { code: error.code, message: error.message };
}

function isNoRoom(error: unknown): error is ObjectStoreFullError | OutOfDiskError {
  return error instanceof ObjectStoreFullError || error instanceof OutOfDiskError;
}

/** Objects that this process holds, and that others know, too, in the store of a node. */
export function* storedAt(node: NodeId, references: ReferenceTable): IterableIterator<OwnObject> {
  for (const entry of references.entries.values()) if (entry.state === "stored" && entry.nodeId === node) yield entry;
}

/** A new object of this process has its value. What names others is everybody's at once: its entry keeps them alive. */
export function resolvePut(references: ReferenceTable, entry: ObjectEntry, value: LocalValue): void {
  value.block.owner = entry;
  entry.sizeBytes = value.sizeBytes;
  references.resolveLocal(entry, value);
  if (value.contains.length > 0) references.announce(entry);
}

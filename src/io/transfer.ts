/**
 * Bulk transfer: how an object's bytes go from one node's store to another's.
 *
 *     puller ──▶ PULL { object id, f64 from, f64 end, u8 checksums that it knows, host }
 *            ◀── FOUND { f64 size, u8 checksum }, then DATA { u32 checksum, at most 1 MiB }, …      or  MISSING
 *
 * The puller dials, on a connection of its own, so that a large object never stands in the way of messages. The server
 * sends from where the bytes lie in the mapped arena, and the puller's socket reads to where they belong in its own: no
 * copy is made but the kernel's. Without the addon pieces pass through memory of the process at either end. The server
 * begins a piece when the kernel has taken an earlier one, so a slow reader costs it little. One pull at a time on a
 * connection; idle ones are kept for the next.
 *
 * A puller on the same host is told the place of the bytes instead (HERE), copies them by itself, and asks now and then
 * whether they were still kept for it (STILL); what it copied before the answer is right.
 */
import { ByteReader } from "../base/bytes.js";
import { isHexId, OBJECT_ID_DIGITS } from "../base/ids.js";
import {
  MAX_ID_BYTES,
  MAX_PEER_PATH_BYTES,
  PARTIAL_COPY_WAIT_MS,
  SPILL_PIECE_BYTES,
  TRANSFER_CHUNK_BYTES,
} from "../base/limits.js";
import { ProtocolError } from "../errors.js";
import type { Arena } from "./arena.js";
import { type Checksum, Checksums } from "./checksum.js";
import type { Connection } from "./connection.js";
import type { PartialCopy } from "./partial-copy.js";
import { placeOnHost } from "./same-host.js";
import { DATA, FOUND, HERE, MISSING, PULL, STILL } from "./transfer-frames.js";

export { TransferClient } from "./transfer-client.js";

/** The raylet's store, as far as a transfer knows it. */
export interface TransferSource {
  /**
   * Find a sealed object, or one that is arriving itself, and keep its block in place until `close`; each successful call
   * is matched by one close.
   */
  open(objectId: string): TransferBlock | undefined;
  /** Resolves when the object, which is not here, has begun to arrive, or will not soon. Undefined: it is not expected. */
  coming(objectId: string): Promise<void> | undefined;
  /** `sentBytes`: what was sent of it. */
  close(objectId: string, block: TransferBlock, sentBytes: number): void;
}

/** Where an object's bytes are: in the arena, or, spilled, in a file. */
export type TransferBlock = ArenaBlock | FileBlock;

interface ArenaBlock {
  readonly offset: number;
  readonly sizeBytes: number;
  /** It is arriving itself: not all of its bytes may be there. */
  readonly partial?: PartialCopy | undefined;
}

interface FileBlock {
  readonly sizeBytes: number;
  /** Fill `piece` with the bytes from `from` on, a multiple of `SPILL_PIECE_BYTES`; rejects when they are damaged. */
  readPiece(from: number, piece: Uint8Array): Promise<void>;
}

export class TransferServer {
  readonly arena: Arena;
  readonly source: TransferSource;
  readonly host: string;
  readonly #serving = new Set<Connection>();

  /** `host`: our `hostIdentity`, if nodes of the same host may map our arena. */
  constructor(arena: Arena, source: TransferSource, host = "") {
    this.arena = arena;
    this.source = source;
    this.host = host;
  }

  /** Answer the pulls that come in on a connection whose purpose is objects. */
  serve(connection: Connection): void {
    this.#serving.add(connection);
    const closed = () => this.#serving.delete(connection);
    void Checksums.load().then((sums) => new Serving(connection, this, sums, closed));
  }

  /** Before the arena is closed, from which they send. */
  close(): void {
    for (const connection of this.#serving) connection.destroy();
  }
}

/** Pieces that the kernel may be holding for one puller. */
const PIECES_IN_FLIGHT = 2;

/** What a puller wants. */
interface Asked {
  readonly objectId: string;
  readonly from: number;
  readonly end: number;
  readonly number: number;
  readonly isHere: boolean;
  readonly checksum: Checksum;
}

/** What all connections of a node have in common. */
interface Server {
  readonly arena: Arena;
  readonly source: TransferSource;
  readonly host: string;
}

class Serving {
  readonly #connection: Connection;
  readonly #server: Server;
  readonly #checksums: Checksums;
  /** Memory for pieces that cannot be sent from where they lie. */
  readonly #memory: Uint8Array[] = [];
  /** The pull under way: what is still to be sent, and pieces that are on their way. */
  #asked: Asked | undefined;
  #block: TransferBlock | undefined;
  #unwatch: (() => void) | undefined;
  #next = 0;
  #end = 0;
  #inFlight = 0;
  /** A puller of this host waits, or has waited, for a growing copy to be whole. */
  #impatience: NodeJS.Timeout | undefined;
  #isPatient = false;
  /** The puller copies from our arena by itself. */
  #isHere = false;
  /** A piece is being read from a file. */
  #reading = false;

  constructor(connection: Connection, server: Server, checksums: Checksums, closed: () => void) {
    this.#connection = connection;
    this.#server = server;
    this.#checksums = checksums;
    connection.start({
      frame: (type, bytes, start, end) => this.#pull(type, new ByteReader(bytes, start, end)),
      closed: () => {
        closed();
        this.#finish();
      },
    });
  }

  #pull(type: number, reader: ByteReader): void {
    if (type === STILL && this.#isHere) return this.#still(reader);
    if (type !== PULL || this.#asked !== undefined) throw new ProtocolError(`frame ${type} where a pull was expected`);
    const objectId = reader.text(OBJECT_ID_DIGITS);
    const from = reader.f64();
    const end = reader.f64();
    const number = this.#checksums.choose(reader.u8());
    const host = reader.text(MAX_ID_BYTES);
    reader.finish();
    if (!isHexId(objectId, OBJECT_ID_DIGITS)) throw new ProtocolError("a pull of something that is no object id");
    if (!(Number.isSafeInteger(from) && Number.isSafeInteger(end) && from >= 0 && from <= end)) {
      throw new ProtocolError(`a pull of the bytes from ${from} to ${end}`);
    }
    const isHere = host !== "" && host === this.#server.host;
    this.#asked = { objectId, from, end, number, isHere, checksum: this.#checksums.get(number) as Checksum };
    const coming = this.#begin(this.#asked) ? undefined : this.#server.source.coming(objectId);
    if (coming === undefined) return this.#answer();
    void coming.then(() => {
      if (this.#asked !== undefined) this.#begin(this.#asked);
      this.#answer();
    });
  }

  #begin({ objectId, from, end }: Asked): boolean {
    const block = this.#server.source.open(objectId);
    if (block === undefined) return false;
    // A range that does not fit the size: the puller sees from the answer that this is not what it wants.
    this.#end = end <= block.sizeBytes ? end : 0;
    this.#next = Math.min(from, this.#end);
    this.#block = block;
    if ("partial" in block) this.#unwatch = block.partial?.watch(() => this.#moreArrived(block.partial));
    return true;
  }

  #answer(): void {
    const asked = this.#asked;
    clearTimeout(this.#impatience);
    this.#impatience = undefined;
    if (asked === undefined) return; // the connection was lost
    if (this.#block === undefined) {
      this.#asked = undefined;
      this.#connection.beginFrame(MISSING);
      this.#connection.endFrame();
      return;
    }
    if (asked.isHere && this.#waitForWhole(this.#block)) return;
    if (asked.isHere && this.#answerPlace(this.#block)) return;
    const writer = this.#connection.beginFrame(FOUND);
    writer.f64(this.#block.sizeBytes);
    writer.u8(asked.number);
    this.#connection.endFrame();
    this.#sendPieces();
  }

  /** Whether a growing copy may soon be whole: on the same host copying it then costs less than sending it as it grows. */
  #waitForWhole(block: TransferBlock): boolean {
    const isPartial = "offset" in block && block.partial?.has(0, block.sizeBytes) === false;
    if (!isPartial || this.#isPatient) return false;
    this.#isPatient = true;
    this.#impatience = setTimeout(() => this.#answer(), PARTIAL_COPY_WAIT_MS);
    return true;
  }

  /** On the same host the puller copies by itself. A growing copy is sent instead, as it grows. */
  #answerPlace(block: TransferBlock): boolean {
    if (!("offset" in block) || block.partial?.has(0, block.sizeBytes) === false) return false;
    const place = placeOnHost(this.#server.arena, block.offset, block.sizeBytes);
    if (place === undefined) return false;
    this.#isHere = true;
    const writer = this.#connection.beginFrame(HERE);
    for (const number of [block.sizeBytes, place.offset, place.capacity, place.inode]) writer.f64(number);
    const path = Buffer.alloc(MAX_PEER_PATH_BYTES);
    path.write(place.path);
    writer.raw(path);
    this.#connection.endFrame();
    return true;
  }

  /** The block has been kept for the puller until now. */
  #still(reader: ByteReader): void {
    const copied = reader.f64();
    const isLast = reader.u8() !== 0;
    reader.finish();
    this.#next = Math.min(this.#end, Math.max(this.#next, copied));
    this.#connection.beginFrame(STILL);
    this.#connection.endFrame();
    if (isLast) this.#finish();
  }

  /** What arrives here goes on; when it does not arrive any more, its place may be another's: nothing is sent from there. */
  #moreArrived(partial: PartialCopy | undefined): void {
    if (partial?.isLost) this.#connection.destroy();
    else if (this.#impatience === undefined) {
      if (!this.#isHere) this.#sendPieces();
    } else if (this.#block !== undefined && partial?.has(0, partial.sizeBytes)) this.#answer();
  }

  #sendPieces(): void {
    const [asked, block] = [this.#asked, this.#block];
    if (asked === undefined || block === undefined) return;
    while (this.#next < this.#end && this.#inFlight < PIECES_IN_FLIGHT && !this.#reading) {
      if ("readPiece" in block) this.#sendFromFile(block, asked.checksum);
      else if (!this.#sendFromArena(block, asked.checksum)) return;
    }
    if (this.#next >= this.#end && this.#inFlight === 0 && !this.#reading) this.#finish();
  }

  /** False when the next piece is not there yet, or cannot be sent. */
  #sendFromArena({ offset, partial }: ArenaBlock, checksum: Checksum): boolean {
    const length = Math.min(TRANSFER_CHUNK_BYTES, this.#end - this.#next);
    if (partial?.has(this.#next, this.#next + length) === false) return false;
    try {
      const mapped = this.#server.arena.readable(offset + this.#next, length);
      const memory = mapped === undefined ? this.#takeMemory() : undefined;
      const piece = mapped ?? (memory as Uint8Array).subarray(0, length);
      if (memory !== undefined) this.#server.arena.readInto(offset + this.#next, piece);
      this.#send(piece, memory, checksum);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** Pieces of a file have their own borders, on which their checksums stand. */
  #sendFromFile(block: FileBlock, checksum: Checksum): void {
    const skipped = this.#next % SPILL_PIECE_BYTES;
    const start = this.#next - skipped;
    const memory = this.#takeMemory();
    const piece = memory.subarray(0, Math.min(SPILL_PIECE_BYTES, block.sizeBytes - start));
    this.#reading = true;
    block.readPiece(start, piece).then(
      () => {
        this.#reading = false;
        if (this.#block !== block) return; // the connection was lost
        this.#send(piece.subarray(skipped, Math.min(piece.length, this.#end - start)), memory, checksum);
        this.#sendPieces();
      },
      (error: unknown) => {
        this.#reading = false;
        this.#fail(error);
      },
    );
  }

  #takeMemory(): Uint8Array {
    return this.#memory.pop() ?? new Uint8Array(TRANSFER_CHUNK_BYTES);
  }

  /** The arena is closed, or the bytes are damaged; the puller asks another replica. */
  #fail(error: unknown): void {
    this.#connection.destroy(error instanceof Error ? error : undefined);
    this.#finish();
  }

  #send(piece: Uint8Array, memory: Uint8Array | undefined, checksum: Checksum): void {
    this.#next += piece.length;
    this.#inFlight++;
    this.#connection.beginFrame(DATA).u32(checksum(piece, 0));
    this.#connection.endFrameWith(piece, () => this.#taken(memory));
  }

  #taken(memory: Uint8Array | undefined): void {
    this.#inFlight--;
    if (this.#asked === undefined) return; // the connection was lost
    if (memory !== undefined) this.#memory.push(memory);
    this.#sendPieces();
  }

  /** The pull is over, one way or another; an idle connection keeps no memory. */
  #finish(): void {
    const [asked, block] = [this.#asked, this.#block];
    this.#asked = undefined;
    this.#block = undefined;
    this.#isHere = false;
    this.#isPatient = false;
    clearTimeout(this.#impatience);
    this.#impatience = undefined;
    this.#memory.length = 0;
    this.#unwatch?.();
    this.#unwatch = undefined;
    if (asked !== undefined && block !== undefined)
      this.#server.source.close(asked.objectId, block, this.#next - Math.min(asked.from, this.#end));
  }
}

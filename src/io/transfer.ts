/**
 * Bulk transfer: how an object's bytes go from one node's store to another's.
 *
 *     puller ──▶ PULL { object id, f64 from, f64 end, u8 checksums that it knows }
 *            ◀── FOUND { f64 size, u8 checksum }, then DATA { u32 checksum, at most 1 MiB }, …      or  MISSING
 *
 * The puller dials, on a connection of its own, so that a large object never stands in the way of messages. The server
 * sends from where the bytes lie in the mapped arena, and the puller's socket reads to where they belong in its own: no
 * copy is made but the kernel's. Without the addon pieces pass through memory of the process at either end. The server
 * begins a piece when the kernel has taken an earlier one, so a slow reader costs it little. One pull at a time on a
 * connection; idle ones are kept for the next.
 */
import { ByteReader } from "../base/bytes.js";
import { isHexId, OBJECT_ID_DIGITS } from "../base/ids.js";
import { TRANSFER_CHUNK_BYTES } from "../base/limits.js";
import { ProtocolError } from "../errors.js";
import type { Arena } from "./arena.js";
import { type Checksum, Checksums } from "./checksum.js";
import type { Connection } from "./connection.js";
import { DATA, FOUND, MISSING, PULL } from "./transfer-frames.js";

export { TransferClient } from "./transfer-client.js";

/** The raylet's store, as far as a transfer knows it. */
export interface TransferSource {
  /** Find a sealed object and keep its block in place until `close`; each successful call is matched by one close. */
  open(objectId: string): TransferBlock | undefined;
  close(objectId: string, block: TransferBlock): void;
}

/** Where an object's bytes lie in the arena. */
export interface TransferBlock {
  readonly offset: number;
  readonly sizeBytes: number;
}

export class TransferServer {
  readonly #arena: Arena;
  readonly #source: TransferSource;
  readonly #serving = new Set<Connection>();

  constructor(arena: Arena, source: TransferSource) {
    this.#arena = arena;
    this.#source = source;
  }

  /** Answer the pulls that come in on a connection whose purpose is objects. */
  serve(connection: Connection): void {
    this.#serving.add(connection);
    const closed = () => this.#serving.delete(connection);
    void Checksums.load().then((sums) => new Serving(connection, this.#arena, this.#source, sums, closed));
  }

  /** Before the arena is closed, from which they send. */
  close(): void {
    for (const connection of this.#serving) connection.destroy();
  }
}

/** Pieces that the kernel may be holding for one puller. */
const PIECES_IN_FLIGHT = 2;

class Serving {
  readonly #connection: Connection;
  readonly #arena: Arena;
  readonly #source: TransferSource;
  readonly #checksums: Checksums;
  /** Memory for pieces that cannot be sent from where they lie. */
  readonly #memory: Uint8Array[] = [];
  /** The pull under way: what is still to be sent, and pieces that are on their way. */
  #pulled: { readonly objectId: string; readonly block: TransferBlock; readonly checksum: Checksum } | undefined;
  #next = 0;
  #end = 0;
  #inFlight = 0;

  constructor(connection: Connection, arena: Arena, source: TransferSource, checksums: Checksums, closed: () => void) {
    this.#connection = connection;
    this.#arena = arena;
    this.#source = source;
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
    if (type !== PULL || this.#pulled !== undefined) throw new ProtocolError(`frame ${type} where a pull was expected`);
    const objectId = reader.text(OBJECT_ID_DIGITS);
    const from = reader.f64();
    const end = reader.f64();
    const number = this.#checksums.choose(reader.u8());
    reader.finish();
    if (!isHexId(objectId, OBJECT_ID_DIGITS)) throw new ProtocolError("a pull of something that is no object id");
    const checksum = this.#checksums.get(number);
    const block = checksum && this.#source.open(objectId);
    if (checksum === undefined || block === undefined) {
      this.#connection.beginFrame(MISSING);
      this.#connection.endFrame();
      return;
    }
    this.#pulled = { objectId, block, checksum };
    const { sizeBytes } = block;
    // A range that fits another size: the puller sees from the answer that this is not what it wants.
    this.#end = end <= sizeBytes ? end : 0;
    this.#next = Math.min(from, this.#end);
    if (!(Number.isSafeInteger(from) && Number.isSafeInteger(end) && from >= 0 && from <= end)) {
      throw new ProtocolError(`a pull of the bytes from ${from} to ${end}`);
    }
    const writer = this.#connection.beginFrame(FOUND);
    writer.f64(sizeBytes);
    writer.u8(number);
    this.#connection.endFrame();
    this.#sendPieces();
  }

  #sendPieces(): void {
    while (this.#pulled !== undefined && this.#next < this.#end && this.#inFlight < PIECES_IN_FLIGHT) {
      const { block, checksum } = this.#pulled;
      const length = Math.min(TRANSFER_CHUNK_BYTES, this.#end - this.#next);
      try {
        this.#send(block.offset + this.#next, length, checksum);
      } catch (error) {
        // The arena is closed or damaged; the puller asks another replica.
        this.#connection.destroy(error instanceof Error ? error : undefined);
        return;
      }
    }
    if (this.#next >= this.#end && this.#inFlight === 0) this.#finish();
  }

  #send(offset: number, length: number, checksum: Checksum): void {
    const mapped = this.#arena.readable(offset, length);
    const memory = mapped === undefined ? (this.#memory.pop() ?? new Uint8Array(TRANSFER_CHUNK_BYTES)) : undefined;
    const piece = mapped ?? (memory as Uint8Array).subarray(0, length);
    if (memory !== undefined) this.#arena.readInto(offset, piece);
    this.#next += length;
    this.#inFlight++;
    this.#connection.beginFrame(DATA).u32(checksum(piece, 0));
    this.#connection.endFrameWith(piece, () => this.#taken(memory));
  }

  #taken(memory: Uint8Array | undefined): void {
    this.#inFlight--;
    if (this.#pulled === undefined) return; // the connection was lost
    if (memory !== undefined) this.#memory.push(memory);
    this.#sendPieces();
  }

  /** The pull is over, one way or another; an idle connection keeps no memory. */
  #finish(): void {
    const pulled = this.#pulled;
    this.#pulled = undefined;
    this.#memory.length = 0;
    if (pulled !== undefined) this.#source.close(pulled.objectId, pulled.block);
  }
}

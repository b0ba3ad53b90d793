/**
 * Bulk transfer: how an object's bytes go from one node's store to another's.
 *
 *     puller ──▶ PULL { object id, f64 from }
 *            ◀── FOUND { f64 size }, then DATA { u32 CRC-32, at most 1 MiB }, …       or  MISSING
 *
 * The puller dials, on a connection of its own, so that a large object never stands in the way of messages. It writes
 * bytes to their place in its arena as they come off the socket. The server reads a piece when the kernel has taken an
 * earlier one, so a slow reader costs it two pieces of memory. One pull at a time on a connection; idle ones are kept
 * for the next.
 */
import { ByteReader } from "../base/bytes.js";
import { isHexId, OBJECT_ID_DIGITS } from "../base/ids.js";
import { SPILL_PIECE_BYTES, TRANSFER_CHUNK_BYTES } from "../base/limits.js";
import { ProtocolError } from "../errors.js";
import type { Arena } from "./arena.js";
import type { Connection } from "./connection.js";
import { type Crc32, loadCrc32 } from "./crc32.js";
import { DATA, FOUND, MISSING, PULL } from "./transfer-frames.js";

export { TransferClient } from "./transfer-client.js";

/** The raylet's store, as far as a transfer knows it. */
export interface TransferSource {
  /** Find a sealed object and keep its bytes in place until `close`; each successful call is matched by one close. */
  open(objectId: string): TransferBlock | undefined;
  close(objectId: string, block: TransferBlock): void;
}

/** Where an object's bytes are: in the arena, or, spilled, in a file. */
export type TransferBlock =
  | { readonly offset: number; readonly sizeBytes: number }
  | {
      readonly sizeBytes: number;
      /** Fill `piece` with the bytes from `from` on, a multiple of `SPILL_PIECE_BYTES`; rejects when they are damaged. */
      readPiece(from: number, piece: Uint8Array): Promise<void>;
    };

export class TransferServer {
  readonly #arena: Arena;
  readonly #source: TransferSource;

  constructor(arena: Arena, source: TransferSource) {
    this.#arena = arena;
    this.#source = source;
  }

  /** Answer the pulls that come in on a connection whose purpose is objects. */
  serve(connection: Connection): void {
    void loadCrc32().then((crc32) => new Serving(connection, this.#arena, this.#source, crc32));
  }
}

/** Pieces that the kernel may be holding for one puller. */
const PIECES_IN_FLIGHT = 2;

class Serving {
  readonly #connection: Connection;
  readonly #arena: Arena;
  readonly #source: TransferSource;
  readonly #crc32: Crc32;
  readonly #pieces: Uint8Array[] = [];
  /** The pull under way: what is still to be read from the arena, and pieces that are on their way. */
  #pulled: { readonly objectId: string; readonly block: TransferBlock } | undefined;
  #next = 0;
  #inFlight = 0;
  /** A piece is being read from a file. */
  #reading = false;

  constructor(connection: Connection, arena: Arena, source: TransferSource, crc32: Crc32) {
    this.#connection = connection;
    this.#arena = arena;
    this.#source = source;
    this.#crc32 = crc32;
    connection.start({
      frame: (type, bytes, start, end) => this.#pull(type, new ByteReader(bytes, start, end)),
      closed: () => this.#finish(),
    });
  }

  #pull(type: number, reader: ByteReader): void {
    if (type !== PULL || this.#pulled !== undefined) throw new ProtocolError(`frame ${type} where a pull was expected`);
    const objectId = reader.text(OBJECT_ID_DIGITS);
    const from = reader.f64();
    reader.finish();
    if (!isHexId(objectId, OBJECT_ID_DIGITS)) throw new ProtocolError("a pull of something that is no object id");
    const block = this.#source.open(objectId);
    if (block === undefined) {
      this.#connection.beginFrame(MISSING);
      this.#connection.endFrame();
      return;
    }
    this.#pulled = { objectId, block };
    if (!(Number.isSafeInteger(from) && from >= 0 && from <= block.sizeBytes)) {
      throw new ProtocolError(`a pull from byte ${from} of an object of ${block.sizeBytes}`);
    }
    this.#next = from;
    this.#connection.beginFrame(FOUND).f64(block.sizeBytes);
    this.#connection.endFrame();
    this.#sendPieces();
  }

  #sendPieces(): void {
    const block = this.#pulled?.block;
    if (block === undefined) return;
    while (this.#next < block.sizeBytes && this.#inFlight < PIECES_IN_FLIGHT && !this.#reading) {
      const memory = this.#pieces.pop() ?? new Uint8Array(TRANSFER_CHUNK_BYTES);
      if ("offset" in block) this.#sendFromArena(block, memory);
      else this.#sendFromFile(block, memory);
    }
    if (this.#next >= block.sizeBytes && this.#inFlight === 0 && !this.#reading) this.#finish();
  }

  #sendFromArena(block: Extract<TransferBlock, { offset: number }>, memory: Uint8Array): void {
    const piece = memory.subarray(0, Math.min(memory.length, block.sizeBytes - this.#next));
    try {
      this.#arena.readInto(block.offset + this.#next, piece);
    } catch (error) {
      return this.#fail(error);
    }
    this.#send(piece, memory);
  }

  /** Pieces of a file have their own borders, on which their checksums stand. */
  #sendFromFile(block: Extract<TransferBlock, { readPiece: unknown }>, memory: Uint8Array): void {
    const skipped = this.#next % SPILL_PIECE_BYTES;
    const start = this.#next - skipped;
    const piece = memory.subarray(0, Math.min(SPILL_PIECE_BYTES, block.sizeBytes - start));
    this.#reading = true;
    block.readPiece(start, piece).then(
      () => {
        this.#reading = false;
        if (this.#pulled?.block !== block) return; // the connection was lost
        this.#send(piece.subarray(skipped), memory);
        this.#sendPieces();
      },
      (error: unknown) => {
        this.#reading = false;
        this.#fail(error);
      },
    );
  }

  /** The arena is closed, or the bytes are damaged; the puller asks another replica. */
  #fail(error: unknown): void {
    this.#connection.destroy(error instanceof Error ? error : undefined);
    this.#finish();
  }

  #send(piece: Uint8Array, memory: Uint8Array): void {
    this.#next += piece.length;
    this.#inFlight++;
    this.#connection.beginFrame(DATA).u32(this.#crc32(piece, 0));
    this.#connection.endFrameWith(piece, () => this.#taken(memory));
  }

  #taken(memory: Uint8Array): void {
    this.#inFlight--;
    if (this.#pulled === undefined) return; // the connection was lost
    this.#pieces.push(memory);
    this.#sendPieces();
  }

  /** The pull is over, one way or another; an idle connection keeps no memory. */
  #finish(): void {
    const pulled = this.#pulled;
    this.#pulled = undefined;
    this.#pieces.length = 0;
    if (pulled !== undefined) this.#source.close(pulled.objectId, pulled.block);
  }
}

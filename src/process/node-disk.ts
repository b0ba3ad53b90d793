/** What a raylet's store asks of the disk, performed: spill files, the fallback file, and what the disk has left. */
import type { ObjectId } from "../base/ids.js";
import type { DiskPort, PullSource } from "../core/raylet/node-store.js";
import type { Raylet } from "../core/raylet/raylet.js";
import type { SpillFileId, SpillPart } from "../core/store/spilling.js";
import { MobulaError, OutOfDiskError } from "../errors.js";
import type { Arena } from "../io/arena.js";
import type { Logger } from "../io/log.js";
import { SpillFiles } from "../io/spill-files.js";
import type { TransferBlock } from "../io/transfer.js";
import type { Failure } from "../protocol/messages.js";

export interface NodeDiskPort {
  /** Run something in the raylet's machine. */
  enter(action: (raylet: Raylet) => void): void;
  /** What blocks take of the fallback file now. */
  fallbackBytes(): number;
}

export class NodeDisk implements DiskPort {
  readonly #arena: Arena;
  readonly #files: SpillFiles;
  readonly #log: Logger;
  readonly #port: NodeDiskPort;
  #measuring = false;
  #arenaIsFull = false;

  constructor(arena: Arena, directory: string, maxBytes: number, log: Logger, port: NodeDiskPort) {
    this.#arena = arena;
    this.#files = new SpillFiles(directory, arena, maxBytes);
    this.#log = log;
    this.#port = port;
  }

  reserveSpace(offset: number, sizeBytes: number): boolean {
    const isReserved = this.#arena.reserve(offset, sizeBytes);
    // Those who wait ask again and again: it is said once.
    if (!isReserved && !this.#arenaIsFull) {
      this.#log.warn(`no space for ${sizeBytes} bytes in the file system of ${this.#arena.path}`);
    }
    this.#arenaIsFull = !isReserved;
    return isReserved;
  }

  writeSpill(file: SpillFileId, parts: readonly SpillPart[]): void {
    const ended = async (failure: Failure | undefined) => {
      const freeBytes = await this.#freeBytes();
      this.#port.enter((raylet) => {
        raylet.spilled(file, failure);
        raylet.storage.diskHas(freeBytes);
      });
    };
    this.#files.write(file, parts).then(
      () => ended(undefined),
      (error: unknown) => {
        this.#log.warn(`objects could not be spilled: ${wordsOf(error)}`);
        return ended(failureOf(error));
      },
    );
  }

  restoreSpill(objectId: ObjectId, file: SpillFileId, offset: number): void {
    const ended = (failure: Failure | undefined) => this.#port.enter((raylet) => raylet.restored(objectId, failure));
    this.#files.restore(file, objectId, offset).then(
      () => ended(undefined),
      (error: unknown) => {
        this.#log.warn(wordsOf(error));
        ended(failureOf(error));
      },
    );
  }

  deleteSpill(file: SpillFileId): void {
    this.#files.delete(file);
  }

  emptyFallback(): void {
    this.#arena.emptyFallback();
  }

  wakeUpAfter(delayMs: number): void {
    setTimeout(() => this.#port.enter((raylet) => raylet.storage.wakeUp()), delayMs);
  }

  /** A spilled object for a puller, straight from its file. */
  reader(objectId: ObjectId, { file, sizeBytes }: PullSource & { readonly kind: "file" }): TransferBlock {
    return {
      sizeBytes,
      readPiece: async (from, piece) => {
        try {
          await this.#files.readPiece(file, objectId, from, piece);
        } catch (error) {
          this.#log.warn(wordsOf(error));
          this.#port.enter((raylet) => raylet.storage.damaged(objectId, file));
          throw error;
        }
      },
    };
  }

  /** Now and then: others use the disk, too. */
  tick(): void {
    if (this.#measuring) return;
    this.#measuring = true;
    void this.#freeBytes().then((freeBytes) => {
      this.#measuring = false;
      this.#port.enter((raylet) => raylet.storage.diskHas(freeBytes));
    });
  }

  close(): void {
    this.#files.close();
  }

  /** A disk that cannot be asked has no room. */
  #freeBytes(): Promise<number> {
    return this.#files.freeBytes(this.#port.fallbackBytes()).catch(() => 0);
  }
}

export function failureOf(error: unknown): Failure {
  const code = error instanceof MobulaError ? error.code : OutOfDiskError.code;
  return { code, message: wordsOf(error) };
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

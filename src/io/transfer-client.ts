/** The pulling side of bulk transfer: one call per object, over connections that are kept for a while. */
import { MAX_IDLE_TRANSFERS, MAX_IDLE_TRANSFERS_PER_PEER, TRANSFER_CHUNK_BYTES } from "../base/limits.js";
import { ConnectionError } from "../errors.js";
import type { ClientIdentity } from "../protocol/handshake.js";
import { type Address, formatAddress } from "./address.js";
import type { Arena } from "./arena.js";
import { loadCrc32 } from "./crc32.js";
import { dialWire } from "./dial.js";
import { type Order, PullConnection } from "./pull-connection.js";

export interface TransferClientOptions {
  readonly identity: ClientIdentity;
  readonly secret: Uint8Array;
}

export class TransferClient {
  readonly #options: TransferClientOptions;
  readonly #idle = new Map<string, PullConnection[]>();
  readonly #busy = new Set<PullConnection>();
  #idleCount = 0;
  #closed = false;

  constructor(options: TransferClientOptions) {
    this.#options = options;
  }

  /**
   * Copy an object from the store of the node at `address` into our arena at `offset`, where `size` bytes are ours.
   *
   * @throws (rejects) ObjectLostError when that node does not have it, ConnectionError when the transfer fails (ask
   *   another replica), ObjectStoreFullError when there is no room here. The block's content is undefined then.
   */
  async pull(address: Address, objectId: string, size: number, arena: Arena, offset: number): Promise<void> {
    const key = formatAddress(address);
    const order = { objectId, size, arena, offset };
    const kept = this.#takeIdle(key);
    if (kept !== undefined) {
      const done = await this.#run(key, kept, order).then(
        () => true,
        // The peer may have closed it while it was idle; that says nothing about the object.
        (error: unknown) => {
          if (kept.hasAnswered || this.#closed) throw error;
          return false;
        },
      );
      if (done) return;
    }
    await this.#run(key, await this.#dial(address), order);
  }

  /** Close every connection; pulls under way fail. */
  close(): void {
    this.#closed = true;
    for (const connections of [...this.#idle.values(), this.#busy]) {
      for (const connection of [...connections]) connection.destroy(new ConnectionError("this node is stopping"));
    }
    this.#idle.clear();
  }

  async #dial(address: Address): Promise<PullConnection> {
    const readBuffer = new Uint8Array(TRANSFER_CHUNK_BYTES);
    const [crc32, { wire }] = await Promise.all([
      loadCrc32(),
      dialWire(address, { ...this.#options, purpose: "objects", readBuffer }),
    ]);
    return new PullConnection(wire, formatAddress(address), crc32);
  }

  async #run(key: string, connection: PullConnection, order: Order): Promise<void> {
    if (this.#closed) connection.destroy(new ConnectionError("this node is stopping"));
    this.#busy.add(connection);
    try {
      await connection.pull(order);
    } catch (error) {
      connection.destroy();
      throw error;
    } finally {
      this.#busy.delete(connection);
    }
    this.#keep(key, connection);
  }

  #takeIdle(key: string): PullConnection | undefined {
    const connection = this.#idle.get(key)?.at(-1);
    if (connection !== undefined) this.#forget(key, connection);
    return connection;
  }

  #keep(key: string, connection: PullConnection): void {
    const others = this.#idle.get(key) ?? [];
    if (others.length >= MAX_IDLE_TRANSFERS_PER_PEER || this.#idleCount >= MAX_IDLE_TRANSFERS || this.#closed) {
      connection.destroy();
      return;
    }
    this.#idle.set(key, others);
    others.push(connection);
    this.#idleCount++;
    connection.rest(() => this.#forget(key, connection));
  }

  #forget(key: string, connection: PullConnection): void {
    const others = this.#idle.get(key);
    const at = others?.indexOf(connection) ?? -1;
    if (others === undefined || at < 0) return;
    others.splice(at, 1);
    if (others.length === 0) this.#idle.delete(key);
    this.#idleCount--;
  }
}

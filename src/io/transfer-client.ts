/** The pulling side of bulk transfer: one call per object, from all that have it, over connections that are kept for a while. */
import { MAX_IDLE_TRANSFERS, MAX_IDLE_TRANSFERS_PER_PEER } from "../base/limits.js";
import { ConnectionError } from "../errors.js";
import type { ClientIdentity } from "../protocol/handshake.js";
import { type Address, formatAddress } from "./address.js";
import { Checksums } from "./checksum.js";
import { dialWire } from "./dial.js";
import { ObjectPull, type PullJob, type RangePull } from "./object-pull.js";
import { type Order, PullConnection } from "./pull-connection.js";

export interface TransferClientOptions {
  readonly identity: ClientIdentity;
  readonly secret: Uint8Array;
  /** Our `hostIdentity`, if arenas of nodes on the same host may be mapped. */
  readonly host?: string;
}

/** One range's way over connections. */
interface Attempt {
  connection: PullConnection | undefined;
  isCancelled: boolean;
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
   * Copy an object from the stores of other nodes into our arena.
   *
   * @throws (rejects) ObjectLostError when no node has it, ConnectionError when the transfer failed with all of them,
   *   ObjectStoreFullError when there is no room here. The block's content is undefined then, and nobody writes to it.
   */
  pull(job: PullJob): Promise<void> {
    return new ObjectPull(job, (address, order) => this.#pullRange(address, order)).run();
  }

  /** Close every connection; pulls under way fail. */
  close(): void {
    this.#closed = true;
    for (const connections of [...this.#idle.values(), this.#busy]) {
      for (const connection of [...connections]) connection.destroy(new ConnectionError("this node is stopping"));
    }
    this.#idle.clear();
  }

  #pullRange(address: Address, order: Order): RangePull {
    const attempt: Attempt = { connection: undefined, isCancelled: false };
    const cancel = () => {
      attempt.isCancelled = true;
      attempt.connection?.destroy();
    };
    return { ended: this.#try(address, order, attempt), cancel };
  }

  async #try(address: Address, order: Order, attempt: Attempt): Promise<void> {
    const key = formatAddress(address);
    const kept = this.#takeIdle(key);
    if (kept !== undefined) {
      const done = await this.#run(key, kept, order, attempt).then(
        () => true,
        // The peer may have closed it while it was idle; that says nothing about the object.
        (error: unknown) => {
          if (kept.hasAnswered || this.#closed) throw error;
          return false;
        },
      );
      if (done) return;
    }
    await this.#run(key, await this.#dial(address), order, attempt);
  }

  async #dial(address: Address): Promise<PullConnection> {
    const [checksums, { wire }] = await Promise.all([
      Checksums.load(),
      dialWire(address, { ...this.#options, purpose: "objects", readsInPlace: true }),
    ]);
    return new PullConnection(wire, formatAddress(address), checksums, this.#options.host);
  }

  async #run(key: string, connection: PullConnection, order: Order, attempt: Attempt): Promise<void> {
    attempt.connection = connection;
    if (attempt.isCancelled) connection.destroy();
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

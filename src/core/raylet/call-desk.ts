/**
 * What the raylet does with calls of its node's actors that their owners have given up.
 *
 * An owner that has lost the connection to an actor takes the calls that were under way for lost, while the actor may still
 * run them, or not even have read them, and seal their results in the owner's name. So the owner hears when that is over,
 * and lets go of them then: the actor's process reads `disownCalls` behind whatever it is doing, and answers behind all that
 * it has sealed. A process that has died seals nothing more, and one that is unknown here is dead.
 *
 * Decides: nothing.
 */
import type { ConnectionId, ProcessId, ProcessRef } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import type { WorkerPool } from "./worker-pool.js";

interface GivenUp {
  readonly owner: ProcessRef;
  readonly worker: ProcessId;
}

export class CallDesk {
  readonly #pool: WorkerPool;
  readonly #port: { send(to: ProcessRef, message: Message): void };
  /** Connections that their owners have lost, and whose other end has not read that yet. */
  readonly #givenUp = new Map<ConnectionId, GivenUp>();

  constructor(pool: WorkerPool, port: { send(to: ProcessRef, message: Message): void }) {
    this.#pool = pool;
    this.#port = port;
  }

  /** True when the message was for this desk. */
  receive(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "giveUpCalls":
        this.#giveUp(from, message.worker, message.connection);
        return true;
      case "callsDisowned":
        this.#disowned(message.connection);
        return true;
      default:
        return false;
    }
  }

  processDied(process: ProcessId): void {
    for (const [connection, { worker }] of [...this.#givenUp]) if (worker === process) this.#disowned(connection);
  }

  /** Idempotent: what is asked twice is answered once or twice. */
  #giveUp(owner: ProcessRef, worker: ProcessRef, connection: ConnectionId): void {
    this.#givenUp.set(connection, { owner, worker: worker.processId });
    if (this.#pool.get(worker.processId) === undefined) this.#disowned(connection);
    else this.#port.send(worker, { type: "disownCalls", connection });
  }

  /** An owner that has died meanwhile is told in vain. */
  #disowned(connection: ConnectionId): void {
    const givenUp = this.#givenUp.get(connection);
    this.#givenUp.delete(connection);
    if (givenUp !== undefined) this.#port.send(givenUp.owner, { type: "callsDisowned", connection });
  }
}

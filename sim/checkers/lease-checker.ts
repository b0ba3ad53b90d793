/**
 * I-03: admitted ≤ total on every node, and everything comes back; a worker runs one lease at a time.
 *
 * A ledger kept from the messages that a raylet receives and sends, without asking its machines. So a grant that the
 * raylet's own books do not show is seen: of resources that are gone, on a worker that is busy, or for the second time.
 */
import type { LeaseId, NodeId, ProcessId } from "../../src/base/ids.js";
import type { LeaseRequest, Message, MessageBody } from "../../src/protocol/messages.js";
import { demand } from "./violation.js";

type Amounts = ReadonlyMap<string, number>;

interface Granted {
  readonly request: LeaseRequest;
  readonly worker: ProcessId;
  held: Amounts;
  blocked: boolean;
}

interface NodeLedger {
  readonly total: Amounts;
  readonly requests: Map<LeaseId, LeaseRequest>;
  readonly granted: Map<LeaseId, Granted>;
}

export class LeaseChecker {
  readonly #nodes = new Map<NodeId, NodeLedger>();
  grants = 0;

  addNode(node: NodeId, total: Amounts): void {
    this.#nodes.set(node, { total, requests: new Map(), granted: new Map() });
  }

  removeNode(node: NodeId): void {
    this.#nodes.delete(node);
  }

  rayletReceives(node: NodeId, message: Message): void {
    const ledger = this.#nodes.get(node);
    if (ledger === undefined) return;
    switch (message.type) {
      case "requestLease":
      case "queueLease":
        ledger.requests.set(message.leaseId, message);
        return;
      case "returnLease":
        ledger.granted.delete(message.leaseId);
        return;
      case "taskBlocked":
      case "taskResumed":
        return setBlocked(ledger, message.leaseId, message.type === "taskBlocked");
      case "settleActor": {
        const granted = ledger.granted.get(message.leaseId);
        if (granted !== undefined) granted.held = granted.request.held; // also while a call of it is blocked
        return;
      }
      default:
        return;
    }
  }

  workerOf(node: NodeId, lease: LeaseId): ProcessId | undefined {
    return this.#nodes.get(node)?.granted.get(lease)?.worker;
  }

  /** The worker's word is the grant: from `openLease` on it takes the owner's tasks. */
  rayletSends(node: NodeId, worker: ProcessId, message: Message): void {
    const ledger = this.#nodes.get(node);
    if (ledger === undefined) return;
    if (message.type === "openLease") this.#granted(node, ledger, worker, message);
    else if (message.type === "closeLease") ledger.granted.delete(message.leaseId);
  }

  rayletLoses(node: NodeId, process: ProcessId): void {
    const ledger = this.#nodes.get(node);
    for (const [leaseId, granted] of [...(ledger?.granted ?? [])]) {
      if (granted.worker === process) ledger?.granted.delete(leaseId);
    }
  }

  /** At the end, when no program runs any more. */
  checkAllBack(): void {
    for (const [node, { granted }] of this.#nodes) {
      const left = [...granted.values()].map(({ request }) => `${request.leaseId} (${request.name})`);
      demand(left.length === 0, `every lease of node ${node} came back: ${left.join(", ")}`);
    }
  }

  #granted(node: NodeId, ledger: NodeLedger, worker: ProcessId, { leaseId }: MessageBody<"openLease">): void {
    this.grants++;
    const request = ledger.requests.get(leaseId);
    demand(request !== undefined, `lease ${leaseId} was asked of node ${node} before it was granted`);
    demand(!ledger.granted.has(leaseId), `lease ${leaseId} is granted at most once at a time`);
    for (const [otherId, other] of ledger.granted) {
      if (other.worker !== worker) continue;
      demand(other.blocked, `worker ${worker} is granted for ${leaseId} while ${otherId} runs on it`);
      demand(
        !other.request.exclusive && !request.exclusive,
        `an exclusive lease shares worker ${worker} with no other`,
      );
    }
    for (const [name, amount] of request.demand) {
      const free = (ledger.total.get(name) ?? 0) - taken(ledger, name);
      demand(amount <= free, `lease ${leaseId} takes ${amount} ${name} of node ${node}, which has ${free} free`);
    }
    ledger.granted.set(leaseId, { request, worker, held: request.demand, blocked: false });
  }
}

function setBlocked(ledger: NodeLedger, leaseId: LeaseId, blocked: boolean): void {
  const granted = ledger.granted.get(leaseId);
  if (granted !== undefined) granted.blocked = blocked;
}

/** A blocked lease has given its CPUs back, and keeps the rest. */
function taken(ledger: NodeLedger, name: string): number {
  let sum = 0;
  for (const { held, blocked } of ledger.granted.values()) {
    if (!blocked || name !== "CPU") sum += held.get(name) ?? 0;
  }
  return sum;
}

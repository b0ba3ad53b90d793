/** What every virtual process can reach: the world, the network, the other processes' doors, and the checkers' eyes. */
import type { ActorId, ConnectionId, NodeId, ObjectId, ProcessId, ProcessRef, TaskId } from "../src/base/ids.js";
import type { RayletClaims } from "../src/core/executor/claim-words.js";
import type { Message } from "../src/protocol/messages.js";
import type { Files } from "./files.js";
import type { ControlFrame, DirectFrame, TransferFrame } from "./frames.js";
import type { LinkEnd, LinkEvents } from "./link.js";
import type { Network } from "./network.js";
import type { CodeTable } from "./program.js";
import type { SimValue } from "./values.js";
import type { VirtualProcess } from "./virtual-process.js";
import type { World } from "./world.js";

/** A node, for those who dial it. */
export interface NodeDoor {
  connectLocal(
    process: VirtualProcess,
    role: "driver" | "worker",
    events: LinkEvents<ControlFrame>,
  ): LinkEnd<ControlFrame>;
  connectNode(process: VirtualProcess, events: LinkEvents<ControlFrame>): LinkEnd<ControlFrame>;
  connectTransfer(process: VirtualProcess, events: LinkEvents<TransferFrame>): LinkEnd<TransferFrame>;
}

/** A worker, for owners who dial it, and for its raylet, which may share claim words with it. */
export interface WorkerDoor {
  readonly claims: RayletClaims | undefined;
  connectOwner(owner: VirtualProcess, id: ConnectionId, events: LinkEvents<DirectFrame>): LinkEnd<DirectFrame>;
}

/** What checkers see. They look on and never change anything. */
export interface Watch {
  rayletReceives(node: NodeId, message: Message): void;
  rayletSends(node: NodeId, to: ProcessRef, message: Message): void;
  rayletLoses(node: NodeId, process: ProcessId): void;
  taskSubmitted(task: TaskId, maxRetries: number): void;
  /** `run`: how often its worker was lost under it, as far as whoever sent it knows. */
  taskStarts(task: TaskId, run: number, process: ProcessRef): void;
  tasksRecalled(count: number): void;
  callSubmitted(actor: ActorId, caller: ProcessRef, task: TaskId): void;
  callStarts(actor: ActorId, caller: ProcessRef, task: TaskId, process: ProcessRef): void;
  /** A value came into being under an id: inline at its owner, or in a store. */
  valueMade(object: ObjectId, value: SimValue): void;
}

export interface Surroundings {
  readonly world: World;
  readonly network: Network;
  readonly codes: CodeTable;
  readonly files: Files;
  readonly watch: Watch;
  /** Undefined when nobody listens there any more. */
  node(nodeId: NodeId): NodeDoor | undefined;
  worker(processId: ProcessId): WorkerDoor | undefined;
  /** Fork a worker of a node; `undefined` is returned by `killWorker` when it had not come up yet. */
  startWorker(worker: ProcessRef): void;
  /** SIGKILL. False when there is no such process (yet). */
  killWorker(worker: ProcessRef, why: string): boolean;
}

/** A worker that has become an actor: its instance, and the machine that orders its calls. */
import type { LeaseId, NodeId, ProcessId, ProcessRef } from "../base/ids.js";
import { ActorExecutor, type Call } from "../core/executor/actor-executor.js";
import type { Outcome } from "../core/owner/records.js";
import type { Connection } from "../io/connection.js";
import type { ActorSpec } from "../protocol/messages.js";
import type { CoreProcess } from "./core-process.js";
import { argumentsOf, type RunHost, type TaskRunner, type WorkerTask } from "./task-runner.js";

export interface ActorHostEvents {
  answer(caller: unknown, call: Call, outcome: Outcome): void;
}

export class ActorHost {
  readonly executor: ActorExecutor;

  /** Lecture, `createActor`: run the constructor. Rejects with what it throws. */
  static async create(
    core: CoreProcess,
    runner: TaskRunner,
    leaseId: LeaseId,
    spec: ActorSpec,
    events: ActorHostEvents,
  ): Promise<ActorHost> {
    runner.actorId = spec.actorId;
    const instance = await runner.construct(spec, argumentsOf(spec.arguments));
    runner.instance = instance;
    return new ActorHost(core, runner, leaseId, spec, events);
  }

  private constructor(
    core: CoreProcess,
    runner: TaskRunner,
    leaseId: LeaseId,
    spec: ActorSpec,
    events: ActorHostEvents,
  ) {
    const host: RunHost = {
      ownerOf: (run) => callerOf(run as Call),
      holderOf: (run) => ((run as Call).orphan ? undefined : callerOf(run as Call)),
      heldBy: () => spec.held,
      block: (run) => this.executor.block(run as Call),
      resume: (run) => this.executor.resume(run as Call),
      finished: (run, outcome) => this.executor.finished(run as Call, outcome),
      flush: (run) => {
        connectionOf(run as Call).flush();
        core.raylet.flush();
      },
    };
    this.executor = new ActorExecutor(leaseId, spec.maxConcurrency, {
      sendToRaylet: (message) => core.raylet.sendToRaylet(message),
      prepare: (call) =>
        runner.prepare(
          call.task as WorkerTask,
          () => this.executor.prepared(call),
          (outcome) => this.executor.failedToPrepare(call, outcome),
        ),
      execute: (call) => runner.execute(call.task as WorkerTask, host, call),
      answer: (caller, call, outcome) => events.answer(caller, call, outcome),
    });
  }
}

/** Results of a call belong to the process that called. */
function callerOf(call: Call): ProcessRef {
  const { nodeId, processId } = connectionOf(call).peer;
  return { nodeId: nodeId as NodeId, processId: processId as ProcessId };
}

function connectionOf(call: Call): Connection {
  return (call.caller as { readonly connection: Connection }).connection;
}

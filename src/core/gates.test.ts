// A gated task never keeps the task that opens its gate waiting, whatever the order of tasks and of messages.
// Method: the real owner, scheduler, workers of one node, joined by channels that keep order; random scenarios, a random
// channel delivers next. A worker in synchronous code gets nothing. Every task must end, none may run twice, and in the end
// every lease is back and every CPU free.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { leaseGranted, leaseRequest, taskSpec } from "../../test/support/messages.js";
import { node, process } from "../../test/support/names.js";
import { namedTask } from "../../test/support/owner.js";
import type { LeaseId, ProcessId, ProcessRef } from "../base/ids.js";
import { Prng } from "../base/prng.js";
import type { Message } from "../protocol/messages.js";
import { CLAIM_WORDS, RayletClaims } from "./executor/claim-words.js";
import { Executor, type ExecutorPort } from "./executor/executor.js";
import type { LeaseSlot, Run } from "./executor/lease-slot.js";
import { Journey } from "./journey.js";
import type { Lease } from "./owner/key-queue.js";
import { receiveForLeases } from "./owner/lease-messages.js";
import { LeasePool } from "./owner/lease-pool.js";
import type { Outcome, Task } from "./owner/records.js";
import { LocalScheduler } from "./raylet/local-scheduler.js";
import { WorkerPool } from "./raylet/worker-pool.js";
import { amountsOf, NodeResources, recordOf } from "./resources.js";

/**
 * `gated` waits for the gate in `get`; `polling` waits for it otherwise and keeps its CPU; `stuck` does that in synchronous
 * code; `opener` opens it; `fast` ends at once. A task that `fetches` has an argument that its worker must bring first.
 */
type Kind = "gated" | "polling" | "stuck" | "opener" | "fast" | "fetching opener" | "fetching gated" | "fetching stuck";

interface Scenario {
  readonly cpus: number;
  readonly kinds: readonly Kind[];
  /** Fast tasks ran before: the owner pipelines. */
  readonly warm: boolean;
  /** Tasks that must not run twice. */
  readonly once: boolean;
  /** Raylet and workers share claim words. */
  readonly recallable: boolean;
  readonly seed: number;
}

const DONE: Outcome = { kind: "returned", results: [] };
const OWNER = process("d");
const MAX_STEPS = 50_000;

class Node {
  readonly finished = new Set<string>();
  readonly resources: NodeResources;
  readonly scheduler: LocalScheduler;
  readonly #pool: WorkerPool;
  readonly #owner: LeasePool;
  readonly #executors = new Map<ProcessId, Executor>();
  readonly #claims = new Map<ProcessId, RayletClaims>();
  /** Workers whose thread is in synchronous code: they read nothing, and look at no clock. */
  readonly #stuck = new Set<string>();
  readonly #started = new Set<string>();
  readonly #recallable: boolean;
  readonly #slots = new Map<LeaseId, LeaseSlot>();
  readonly #tasks = new Map<string, { readonly task: Task; readonly kind: Kind }>();
  readonly #random: Prng;
  /** What is under way, by channel; each keeps its order. */
  readonly #channels = new Map<string, (() => void)[]>();
  /** Runs that wait for the gate. */
  readonly #atGate = new Map<Run, Executor>();
  #gateIsOpen = false;
  #nowMs = 1_000;
  #steps = 0;

  constructor({ cpus, seed, recallable }: Scenario) {
    this.#random = new Prng(seed);
    this.#recallable = recallable;
    const total = amountsOf({ CPU: cpus });
    this.resources = new NodeResources(total);
    this.#pool = new WorkerPool(node("N1"), cpus, {
      send: () => {},
      startWorker: (worker) => this.#startWorker(worker),
      killWorker: () => {},
    });
    const journey = new Journey("N1", () => 0);
    this.scheduler = new LocalScheduler(node("N1"), this.#schedulerPort(), this.resources, this.#pool, journey);
    this.#owner = new LeasePool(OWNER, this.#ownerPort());
    this.#owner.clusterTotals(total);
  }

  submit(name: string, kind: Kind, once: boolean): void {
    const task = namedTask(name, once ? { maxRetries: 0 } : {});
    this.#tasks.set(name, { task, kind });
    this.#owner.submit(task);
  }

  /** Go on until so many tasks have ended. */
  runUntil(count: number): void {
    while (this.finished.size < count) this.#step();
  }

  /** Nothing more is asked for: leases go back. */
  rest(): void {
    while (!this.scheduler.isIdle) this.#step();
  }

  #step(): void {
    assert.ok(
      this.#steps++ < MAX_STEPS,
      `still waiting: ${[...this.#tasks.keys()].filter((name) => !this.finished.has(name))}`,
    );
    const ready = [...this.#channels].filter(
      ([channel, messages]) => messages.length > 0 && !this.#stuck.has(channel.replace(/^.* to /, "")),
    );
    if (ready.length === 0 || this.#random.chance(0.05)) this.#passTime();
    else this.#random.pick(ready)?.[1].shift()?.();
    if (this.#gateIsOpen) for (const [run, executor] of [...this.#atGate]) this.#letThrough(run, executor);
    this.#owner.check();
    this.scheduler.check();
    for (const [name, executor] of this.#executors) if (!this.#stuck.has(name)) executor.check();
  }

  #passTime(): void {
    this.#nowMs += 1;
    for (const [name, executor] of this.#executors) if (!this.#stuck.has(name)) executor.tick();
    this.#owner.tick(this.#nowMs);
    this.#pool.tick(this.#nowMs);
  }

  #send(channel: string, deliver: () => void): void {
    const messages = this.#channels.get(channel) ?? [];
    this.#channels.set(channel, messages);
    messages.push(deliver);
  }

  // ── The owner ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #ownerPort(): ConstructorParameters<typeof LeasePool>[1] {
    const toRaylet = (message: Message) => this.#send("owner to raylet", () => this.#rayletHears(message));
    return {
      sendToRaylet: toRaylet,
      send: (_, message) => toRaylet(message),
      leaseRequest: (leaseId, { template: { name, maxRetries } }) =>
        leaseRequest(leaseId, { name, exclusive: maxRetries === 0, task: taskSpec(name) }),
      connect: (made) => this.#connect(made),
      push: (made, task) => {
        const { sequence } = task;
        this.#send(`owner to ${made.worker.processId}`, () => this.#workerGets(made, sequence, task.template.name));
      },
      disconnect: () => {},
      taskForwarded: () => {},
      runsAt: () => {},
      runsAgain: () => {},
      finished: (task, outcome) => {
        assert.equal(outcome.kind, "returned");
        this.finished.add(task.template.name);
      },
      endedLate: () => {},
    };
  }

  #connect(made: Lease): void {
    const { processId } = made.worker;
    this.#send(`owner to ${processId}`, () => {
      const attached = (slot: LeaseSlot) => this.#slots.set(made.id, slot);
      this.#executors.get(processId)?.attach(made.id, OWNER, made, attached);
    });
    this.#send(`${processId} to owner`, () => this.#owner.connected(made));
  }

  #ownerHears(message: Message): void {
    assert.ok(receiveForLeases(this.#owner, message), message.type);
  }

  // ── The raylet ────────────────────────────────────────────────────────────────────────────────────────────────────

  #schedulerPort(): ConstructorParameters<typeof LocalScheduler>[1] {
    const toOwner = (message: Message) => this.#send("raylet to owner", () => this.#ownerHears(message));
    const never = () => assert.fail("there is no other node, and no large argument");
    return {
      forwardToGlobal: never,
      spill: never,
      wantArgument: never,
      dropArguments: never,
      hasObject: () => true,
      grantLease: ({ leaseId, name, demand: held }, { ref, leases, recallable }) => {
        const channel = `raylet to ${ref.processId}`;
        const executor = () => this.#executors.get(ref.processId);
        const claim = recallable ? (leases.get(leaseId) ?? 0) : 0;
        this.#send(channel, () => executor()?.openLease(leaseId, OWNER, { held, claim, hasFirst: true }));
        this.#send(channel, () => executor()?.dispatch(leaseId, name));
        toOwner(leaseGranted(leaseId, ref, { recallable }));
      },
      killWorker: never,
      closeLease: ({ processId }, leaseId) =>
        this.#send(`raylet to ${processId}`, () => this.#executors.get(processId)?.closeLease(leaseId)),
      leaseCancelled: ({ leaseId }) => toOwner({ type: "leaseCancelled", leaseId }),
      leaseRefused: never,
      leaseLost: never,
      leaseWanted: ({ leaseId }) => toOwner({ type: "leaseWanted", leaseId }),
    };
  }

  #rayletHears(message: Message): void {
    if (message.type === "requestLease") this.scheduler.submitTask(message);
    else if (message.type === "returnLease") this.scheduler.returnLease(message.leaseId);
    else if (message.type === "taskBlocked") this.scheduler.taskBlocked(message.leaseId);
    else if (message.type === "taskResumed") this.scheduler.taskResumed(message.leaseId);
    else if (message.type === "cancelLease") this.scheduler.cancel(message.leaseId);
    else if (message.type === "recallTasks") this.#recall(message.leaseId, message.upTo);
  }

  /** The words may be looked at a little later. */
  #recall(leaseId: LeaseId, upTo: number): void {
    const worker = this.scheduler.grantOf(leaseId)?.worker.processId;
    const claim = worker && this.#pool.get(worker)?.leases.get(leaseId);
    const claims = worker && this.#claims.get(worker);
    if (claim === undefined || claims === undefined) return;
    this.#send("claim words", () => {
      const started = claims.recall(claim, upTo);
      if (started === undefined) return;
      this.#send("raylet to owner", () => this.#ownerHears({ type: "tasksRecalled", leaseId, upTo, started }));
    });
  }

  // ── Workers ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #startWorker(worker: ProcessRef): void {
    const name = worker.processId;
    const words = this.#recallable ? new Int32Array(CLAIM_WORDS) : undefined;
    if (words !== undefined) this.#claims.set(name, new RayletClaims(words));
    const port: ExecutorPort = {
      nowMs: () => this.#nowMs,
      sendToRaylet: (message) => this.#send(`${name} to raylet`, () => this.#rayletHears(message)),
      sendToOwner: (_, message) =>
        this.#send(`${name} to raylet`, () => this.#send("raylet to owner", () => this.#ownerHears(message))),
      prepare: (run) => {
        if (!this.#kindOf(run).startsWith("fetching")) return true;
        this.#send(`argument to ${name}`, () => executor.prepared(run));
        return false;
      },
      execute: (run) => this.#execute(executor, name, run),
      answer: (caller, { sequence }, outcome, runTimeMs) =>
        this.#send(`${name} to owner`, () => {
          this.#owner.answered(caller as Lease, sequence, outcome, runTimeMs);
          this.#owner.settle(caller as Lease);
        }),
      promoteUnread: (_, outcome, promoted) => this.#send(`${name} to its store`, () => promoted(outcome)),
      handBack: (caller, _, sequences, blocked) =>
        this.#send(`${name} to owner`, () => this.#owner.handedBack(caller as Lease, sequences, blocked)),
      rebuilt: () => {},
      leaseOver: () => {},
      wakeUpAfter: () => {}, // here every millisecond is a tick
    };
    const executor: Executor = new Executor(port, words);
    this.#executors.set(name, executor);
    this.#send(`start of ${name}`, () => {
      this.#pool.ready(worker, 1, "w.sock", this.#recallable);
      this.scheduler.dispatch();
    });
  }

  #workerGets(made: Lease, sequence: number, name: string): void {
    const slot = this.#slots.get(made.id);
    assert.ok(slot !== undefined, "an owner pushes on leases that it has");
    this.#executors.get(made.worker.processId)?.push(slot, sequence, name);
  }

  #execute(executor: Executor, worker: ProcessId, run: Run): Outcome | undefined {
    assert.ok(!this.#started.has(String(run.task)), `${run.task} runs once`);
    this.#started.add(String(run.task));
    const kind = this.#kindOf(run);
    if (kind.endsWith("stuck")) {
      this.#stuck.add(worker);
      while (!this.#gateIsOpen) this.#step();
      this.#stuck.delete(worker);
      return DONE;
    }
    if (kind.endsWith("opener")) this.#gateIsOpen = true;
    if (kind.endsWith("opener") || kind === "fast") return DONE;
    this.#atGate.set(run, executor);
    // The synchronous part of a task ends, and `get` is pending, a little after it has begun.
    if (kind.endsWith("gated")) this.#send(`get to ${worker}`, () => this.#atGate.has(run) && executor.block(run));
    return undefined;
  }

  #letThrough(run: Run, executor: Executor): void {
    this.#atGate.delete(run);
    if (run.waits > 0) executor.resume(run);
    executor.finished(run, DONE);
  }

  #kindOf(run: Run): Kind {
    return this.#tasks.get(String(run.task))?.kind ?? "fast";
  }
}

const scenarios: fc.Arbitrary<Scenario> = fc
  .record({
    cpus: fc.integer({ min: 1, max: 3 }),
    keepers: fc.array(fc.constantFrom<Kind>("polling", "stuck", "fetching stuck"), { maxLength: 2 }),
    others: fc.array(fc.constantFrom<Kind>("gated", "gated", "fetching gated", "fast", "fast"), {
      maxLength: 8,
      size: "max",
    }),
    opener: fc.constantFrom<Kind>("opener", "fetching opener"),
    order: fc.infiniteStream(fc.nat(1_000)),
    warm: fc.boolean(),
    once: fc.boolean(),
    recallable: fc.boolean(),
    seed: fc.nat(),
  })
  .map(({ cpus, keepers, others, opener, order, ...rest }) => {
    // As many tasks that keep their CPU as there are CPUs would be a deadlock of the program itself.
    const kinds = [...keepers.slice(0, cpus - 1), ...others, opener];
    const ranked = kinds.map((kind) => ({ kind, rank: order.next().value ?? 0 }));
    return { cpus, kinds: ranked.sort((a, b) => a.rank - b.rank).map(({ kind }) => kind), ...rest };
  });

/** The opener lies unread at a worker whose thread is kept by a task of another lease than its own. */
const OPENER_BEHIND_ANOTHER_LEASE: Scenario = {
  cpus: 2,
  kinds: ["gated", "gated", "fetching stuck", "fast", "gated", "gated", "gated", "fast", "opener", "gated"],
  warm: true,
  once: false,
  recallable: true,
  seed: 1_838_578_063,
};

test("every task ends, every lease comes back, and every CPU is free", () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const { kinds, warm, once, cpus } = scenario;
      const cluster = new Node(scenario);
      const warmUp = warm ? 6 : 0;
      for (let i = 0; i < warmUp; i++) cluster.submit(`warm ${i}`, "fast", once);
      cluster.runUntil(warmUp);
      for (const [index, kind] of kinds.entries()) cluster.submit(`${kind} ${index}`, kind, once);
      cluster.runUntil(warmUp + kinds.length);
      cluster.rest();
      assert.deepEqual(recordOf(cluster.resources.available), { CPU: cpus });
    }),
    { numRuns: 1_000, examples: [[OPENER_BEHIND_ANOTHER_LEASE]] },
  );
});

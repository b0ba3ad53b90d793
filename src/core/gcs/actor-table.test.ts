// An actor has one life: it is placed, made, announced and ended once, and everybody who asked hears of each change.
// Method: drive the table by hand, each message twice, and read what it asked of the cluster, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESS, actorSpec, Lines } from "../../../test/support/messages.js";
import { actor, failure, job, lease, process } from "../../../test/support/names.js";
import { REGISTRATION_WAIT_MS } from "../../base/limits.js";
import type { ActorFailure } from "../../protocol/messages.js";
import { ActorTable } from "./actor-table.js";

const CRASHED = failure("WORKER_CRASHED");

function thrown(bytes: number): ActorFailure {
  return { message: "the constructor threw", error: new Uint8Array(bytes) };
}

class World {
  readonly table: ActorTable;
  readonly #lines = new Lines();

  constructor(maxErrorBytes = 10) {
    const say = this.#lines.add;
    const port: ConstructorParameters<typeof ActorTable>[0] = {
      leaseActorWorker: ({ leaseId, exclusive }) => say(`lease ${leaseId}${exclusive ? "" : ", shared"}`),
      cancelLease: (leaseId) => say(`cancel ${leaseId}`),
      createActor: (worker, leaseId, { actorId }) => say(`${worker.processId}: become ${actorId} on ${leaseId}`),
      settleActor: (worker, leaseId) => say(`${worker.nodeId}: settle ${leaseId}`),
      killProcess: (worker) => say(`kill ${worker.processId}`),
      announce: (to, { actorId, state, incarnation, reason, error }) =>
        say(
          `${to.processId}: ${actorId} is ${state}${state === "alive" ? ` (${incarnation})` : ""}${reason ? `, ${reason.code}` : ""}${error ? `, error of ${error.length} bytes` : ""}`,
        ),
    };
    this.table = new ActorTable(port, 5, maxErrorBytes);
  }

  /** Actor A of driver d, up to the state that the test begins with. */
  actor(state: "pending" | "creating" | "alive", changes: Parameters<typeof actorSpec>[1] = {}): void {
    this.table.register(actorSpec("A", changes));
    if (state !== "pending") this.grant("A", "w1");
    if (state === "alive") this.table.created(actor("A"), lease("A.0"));
    this.asked();
  }

  grant(name: string, worker: string): string {
    return this.table.leaseGranted(lease(`${name}.0`), process(worker, "N2"), ADDRESS);
  }

  asked(): string[] {
    this.table.check();
    return this.#lines.take();
  }
}

test("an actor is registered, leased, created and announced; messages that come twice change nothing", () => {
  const w = new World();
  assert.equal(w.table.register(actorSpec("A")), "registered");
  assert.equal(w.table.register(actorSpec("A")), "registered");
  assert.deepEqual(w.asked(), ["lease A.0"]);
  assert.equal(w.grant("A", "w1"), "creating");
  assert.equal(w.grant("A", "w2"), "not wanted");
  assert.deepEqual(w.asked(), ["w1: become A on A.0"]);
  w.table.created(actor("A"), lease("A.0"));
  w.table.created(actor("A"), lease("A.0"));
  assert.deepEqual(w.asked(), ["N2: settle A.0", "d: A is alive (1)"]);
});

test("who subscribes hears how the actor is, and of every change from then on", () => {
  const w = new World();
  w.actor("creating");
  w.table.subscribe(process("p"), actor("A"));
  w.table.subscribe(process("p"), actor("A"));
  assert.deepEqual(w.asked(), ["p: A is pending", "p: A is pending"]);
  w.table.created(actor("A"), lease("A.0"));
  assert.deepEqual(w.asked(), ["N2: settle A.0", "d: A is alive (1)", "p: A is alive (1)"]);
});

test("a handle may overtake its actor's registration: who asks early is told then, or after a while that it is not there", () => {
  const w = new World();
  w.table.tick(1_000);
  for (const name of ["A", "B", "C"]) w.table.subscribe(process("q"), actor(name));
  w.table.subscribe(process("p"), actor("C"));
  w.table.register(actorSpec("A"));
  assert.deepEqual(w.asked(), ["q: A is pending", "lease A.0"]);
  w.table.processDied(process("p"), CRASHED);
  w.table.tick(1_000 + REGISTRATION_WAIT_MS - 1);
  assert.deepEqual(w.asked(), []);
  w.table.tick(1_000 + REGISTRATION_WAIT_MS);
  assert.deepEqual(w.asked(), ["q: B is dead, ACTOR_DIED", "q: C is dead, ACTOR_DIED"]);
});

test("an actor ends once, in whichever state its end finds it", () => {
  const ends = {
    pending: ["cancel A.0", "d: A is dead, ACTOR_DIED"],
    creating: ["kill w1", "d: A is dead, ACTOR_DIED"],
    alive: ["kill w1", "d: A is dead, ACTOR_DIED"],
  };
  for (const state of ["pending", "creating", "alive"] as const) {
    const w = new World();
    w.actor(state);
    w.table.kill(actor("A"));
    w.table.kill(actor("A"));
    w.table.failed(actor("A"), CRASHED);
    w.table.created(actor("A"), lease("A.0"));
    w.table.leaseLost(lease("A.0"), CRASHED);
    assert.deepEqual(w.asked(), ends[state]);
    assert.equal(w.grant("A", "w2"), "not wanted");
  }
});

test("an actor whose constructor fails is dead with that reason, and its process ends", () => {
  const w = new World();
  w.actor("creating");
  for (let i = 0; i < 2; i++) w.table.created(actor("A"), lease("A.0"), thrown(3));
  assert.deepEqual(w.asked(), ["kill w1", "d: A is dead, ACTOR_DIED, error of 3 bytes"]);
  w.table.subscribe(process("p"), actor("A"));
  assert.deepEqual(w.asked(), ["p: A is dead, ACTOR_DIED, error of 3 bytes"]);
});

test("an actor that cannot have its arguments is dead from the beginning, for who asked early and who asks late", () => {
  const w = new World();
  w.table.subscribe(process("early"), actor("A"));
  for (let i = 0; i < 2; i++) w.table.neverMade(actorSpec("A"), thrown(3));
  const dead = "A is dead, ACTOR_DIED, error of 3 bytes";
  assert.deepEqual(w.asked(), ["cancel A.0", `d: ${dead}`, `early: ${dead}`]);
  w.table.subscribe(process("late"), actor("A"));
  assert.equal(w.table.register(actorSpec("A")), "registered");
  assert.deepEqual(w.asked(), [`late: ${dead}`]);
  w.table.unreachable(actor("A"));
  w.table.neverMade(actorSpec("A"), thrown(3));
  w.table.subscribe(process("gone"), actor("A"));
  assert.deepEqual(w.asked(), ["gone: A is dead, ACTOR_DIED"]);
});

test("of constructors' errors so many bytes are kept, until their actors are forgotten; the words of all", () => {
  const w = new World(10);
  for (const [name, bytes] of [
    ["A", 6],
    ["B", 5],
    ["C", 4],
    ["D", 0],
  ] as const)
    w.table.neverMade(actorSpec(name), thrown(bytes));
  const told = w.asked().filter((line) => line.startsWith("d: "));
  const dead = (name: string, bytes: number) =>
    `d: ${name} is dead, ACTOR_DIED${bytes === 0 ? "" : `, error of ${bytes} bytes`}`;
  assert.deepEqual(told, [dead("A", 6), dead("B", 0), dead("C", 4), dead("D", 0)]);
  w.table.unreachable(actor("A"));
  w.table.neverMade(actorSpec("E"), thrown(6));
  assert.deepEqual(w.asked(), ["cancel E.0", dead("E", 6)]);
});

test("an actor that cannot be placed says why; one whose process is lost has died", () => {
  const w = new World();
  w.actor("pending");
  w.table.leaseLost(lease("A.0"), failure("TASK_UNSCHEDULABLE"));
  assert.deepEqual(w.asked(), ["cancel A.0", "d: A is dead, TASK_UNSCHEDULABLE"]);
  const living = new World();
  living.actor("alive");
  living.table.leaseLost(lease("A.0"), CRASHED);
  assert.equal(living.asked().at(-1), "d: A is dead, ACTOR_DIED");
});

test("a process's death ends the actor that it was, and it hears no more of others", () => {
  const w = new World();
  w.actor("alive");
  w.table.register(actorSpec("B", { owner: process("p") }));
  w.table.subscribe(process("w1"), actor("B"));
  w.asked();
  w.table.processDied(process("w1", "N2"), CRASHED);
  w.table.processDied(process("w1", "N2"), CRASHED);
  assert.equal(w.asked().at(-1), "d: A is dead, ACTOR_DIED");
  w.table.kill(actor("B"));
  assert.deepEqual(w.asked(), ["cancel B.0", "p: B is dead, ACTOR_DIED"]);
});

test("an actor that nobody can reach ends and is forgotten", () => {
  const w = new World();
  w.actor("alive");
  w.table.unreachable(actor("A"));
  w.table.unreachable(actor("A"));
  assert.deepEqual(w.asked(), ["kill w1", "d: A is dead, ACTOR_DIED"]);
  w.table.subscribe(process("p"), actor("A"));
  assert.equal(w.table.register(actorSpec("A")), "refused"); // its registration came twice, the second time late
  assert.deepEqual(w.asked(), ["p: A is dead, ACTOR_DIED"]);
});

test("a job's end is the end of its actors, and of no others", () => {
  const w = new World();
  w.actor("alive");
  w.table.register(actorSpec("B", { jobId: job("j2"), owner: process("p") }));
  w.asked();
  w.table.jobEnded(job("j1"));
  w.table.jobEnded(job("j1"));
  assert.deepEqual(w.asked(), ["kill w1", "d: A is dead, ACTOR_DIED"]);
  assert.equal(w.grant("B", "w2"), "creating");
});

test("a name belongs to one living actor of its namespace; the second one dies of it", () => {
  const w = new World();
  w.actor("alive", { actorName: "counter" });
  assert.equal(w.table.register(actorSpec("B", { actorName: "counter" })), "refused");
  assert.equal(w.asked().at(-1), "d: B is dead, ACTOR_NAME_TAKEN");
  assert.equal(w.table.find("counter", "default")?.actorId, "A");
  assert.equal(w.table.register(actorSpec("C", { actorName: "counter", namespace: "other" })), "registered");
  w.table.unreachable(actor("B")); // its end takes the name from nobody
  assert.equal(w.table.find("counter", "default")?.actorId, "A");
  w.table.kill(actor("A"));
  assert.equal(w.table.find("counter", "default"), undefined);
  assert.equal(w.table.register(actorSpec("E", { actorName: "counter" })), "registered");
});

test("names and namespaces are any text: no two pairs are one", () => {
  const w = new World();
  w.actor("pending", { actorName: "c", namespace: "a/b" });
  assert.equal(w.table.register(actorSpec("B", { actorName: "b/c", namespace: "a" })), "registered");
  assert.equal(w.table.find("c", "a/b")?.actorId, "A");
  assert.equal(w.table.find("b/c", "a")?.actorId, "B");
});

test("actors without a name have none, and are not found by it", () => {
  const w = new World();
  w.actor("alive");
  assert.equal(w.table.register(actorSpec("B")), "registered");
  assert.equal(w.table.find("", "default"), undefined);
});

// What API.md says of actors, their names and their handles holds on a real cluster.
// Method: one cluster of two CPUs for the whole file, whose driver says its namespace; each test is a small program.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inspect } from "node:util";
import * as ray from "../../src/api/index.js";
import { waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { context, get, getActor, remote } = ray;
const NAMESPACE = "actors-test";

before(async () => {
  await ray.init({ numCpus: 2, namespace: NAMESPACE });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

const Counter = remote(
  class Counter {
    #count = 0;
    increment(by = 1): number {
      this.#count += by;
      return this.#count;
    }
    namespace(): string {
      return context().namespace;
    }
  },
);

const Holder = remote(
  class Holder {
    readonly value: number;
    constructor(value: number) {
      this.value = value;
    }
    read(): number {
      return this.value;
    }
  },
);

test("tasks and actors are in the namespace of their driver", async () => {
  const counter = Counter.options({ name: "known" }).remote();
  assert.equal(await get(counter.namespace.remote()), NAMESPACE);
  assert.equal(await get(remote(() => context().namespace).remote()), NAMESPACE);
  const find = remote(async () => get((await getActor<typeof Counter>("known")).increment.remote()));
  assert.equal(await get(find.remote()), 1);
  const make = remote(async () => {
    const made = Counter.options({ name: "made" }).remote();
    await get(made.increment.remote());
    return made;
  });
  const made = await get(make.remote());
  assert.equal(await get(made.increment.remote()), 2);
  assert.equal(await get((await getActor<typeof Counter>("made")).increment.remote()), 3);
});

test("an actor class is no constructor, and a gate for less than nobody is none", async () => {
  for (const mistake of [
    () => Reflect.apply(Counter as never, undefined, []),
    () => Reflect.construct(Counter as never, []),
  ]) {
    assert.throws(mistake, (e) => e instanceof ray.InvalidOptionError && /Counter\.remote/.test(e.message));
  }
  const died = (words: RegExp) => (e: unknown) => e instanceof ray.ActorDiedError && words.test(e.message);
  await assert.rejects(get(ray.Semaphore.remote(-1).acquire.remote()), died(/Semaphore.*from 0 .*got -1/));
  await assert.rejects(get(ray.Barrier.remote(0.5).wait.remote()), died(/Barrier.*from 1 .*got 0\.5/));
});

for (const [how, end] of [
  ["killed", (actor: ray.ActorHandle<{ read(): number }>) => ray.kill(actor)],
  ["dropped", (actor: ray.ActorHandle<{ read(): number }>) => actor[Symbol.dispose]()],
] as const) {
  test(`an actor that was ${how} while its arguments were made is not made, and leaves its name free`, async () => {
    const gate = ray.Signal.remote();
    const late = remote(async (open: typeof gate) => {
      await get(open.wait.remote());
      return 1;
    }).remote(gate);
    const Named = Holder.options({ name: how });
    await end(Named.remote(late));
    await get(gate.send.remote());
    await get(late);
    assert.equal(await get(Named.remote(2).read.remote()), 2);
  });
}

test("a gate opens, however many wait at it", async () => {
  const signal = ray.Signal.remote();
  const waiting = Array.from({ length: 1_001 }, () => signal.wait.remote());
  await get(signal.send.remote(), { timeoutMs: 20_000 });
  await get(waiting);
});

test("a handle says what it is, and is no promise", async () => {
  const counter = Counter.remote();
  const words = /^ActorHandle\(Counter [0-9a-f]+\)$/;
  for (const text of [String(counter), `${counter}`, counter.toString(), inspect(counter)]) assert.match(text, words);
  assert.equal(JSON.stringify({ counter }), '{"counter":{}}');
  assert.equal(await counter, counter);
  const Named = remote(
    class Named {
      toString(): string {
        return "named";
      }
    },
  );
  assert.equal(
    await get((Named.remote().toString as unknown as { remote(): ray.ObjectRef<string> }).remote()),
    "named",
  );
});

test("a handle that was given back cannot be used; its calls still end", async () => {
  const counter = Counter.remote();
  const { increment } = counter;
  const first = increment.remote();
  counter[Symbol.dispose]();
  assert.equal(await get(first), 1);
  assert.throws(() => increment.remote(), ray.ReferenceReleasedError);
  assert.throws(() => counter.increment.remote(), ray.ReferenceReleasedError);
  assert.throws(() => ray.put({ counter }), ray.ReferenceReleasedError);
  await assert.rejects(ray.kill(counter), ray.ReferenceReleasedError);
});

test("an actor whose constructor takes a failed value is not made, and its calls fail with the same error", async () => {
  const fail = remote((): number => {
    throw new RangeError("upstream");
  });
  const early = Holder.remote(fail.remote()).read.remote();
  await assert.rejects(get(early), RangeError);
  const failed = fail.remote();
  await ray.wait([failed]);
  const holder = Holder.remote(failed);
  await assert.rejects(get(holder.read.remote()), RangeError);
  await assert.rejects(
    get(remote(async (h: typeof holder) => get(h.read.remote())).remote(holder)),
    ray.ActorDiedError,
  );
  const endless = remote({ maxRetries: 0 }, (): number => process.exit(3));
  await assert.rejects(get(Holder.remote(endless.remote()).read.remote()), ray.WorkerCrashedError);
});

/** One call at a time: what comes later waits. */
const Slow = remote(
  { maxConcurrency: 1 },
  class Slow {
    readonly #calls: string[] = [];
    /** Goes on whatever its signal says. */
    async sleep(ms: number, bytes = 0): Promise<Uint8Array> {
      this.#calls.push("slept");
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (context().signal.aborted) this.#calls.push("told");
      return new Uint8Array(bytes);
    }
    async untilTold(): Promise<void> {
      const { signal } = context();
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    note(word: string): void {
      this.#calls.push(word);
    }
    calls(): readonly string[] {
      return this.#calls;
    }
    pid(): number {
      return process.pid;
    }
  },
);

const timedOut = (name: string) => (e: unknown) =>
  e instanceof ray.TaskTimeoutError && e.message.includes(`task ${name}`) && !(e instanceof ray.TaskError);

test("a call whose time is over goes on unless it heeds its signal, and the actor with it; later calls wait for it", async () => {
  const slow = Slow.remote();
  const pid = await get(slow.pid.remote());
  const begunMs = performance.now();
  const late = slow.sleep.options({ timeoutMs: 100 }).remote(800);
  const after = slow.calls.remote();
  await assert.rejects(get(late), timedOut("Slow.sleep"));
  assert.ok(performance.now() - begunMs < 700, "its caller does not wait for its end");
  assert.deepEqual(await get(after), ["slept", "told"]);
  assert.ok(performance.now() - begunMs >= 790, "the later call does");
  await assert.rejects(get(slow.untilTold.options({ timeoutMs: 50, name: "mine" }).remote()), timedOut("mine"));
  assert.equal(await get(slow.pid.remote()), pid);
});

test("a call whose time is over before it starts never runs, wherever it waits", async () => {
  const slow = Slow.remote();
  await get(slow.pid.remote());
  slow.sleep.remote(600);
  const atTheActor = slow.note.options({ timeoutMs: 50 }).remote("at the actor");
  const never = remote(() => new Promise<string>(() => {})).remote();
  const atTheCaller = slow.note.options({ timeoutMs: 50 }).remote(never);
  const after = slow.calls.remote();
  await assert.rejects(get(atTheActor), timedOut("Slow.note"));
  await assert.rejects(get(atTheCaller), timedOut("Slow.note"));
  assert.deepEqual(await get(after), ["slept"]);
});

test("what a call returns after its time is nobody's, and is freed", async () => {
  const bytes = 8 * 2 ** 20;
  const slow = Slow.remote();
  const free = async () => (await ray.availableResources())["objectStoreMemory"] ?? 0;
  await get(slow.pid.remote());
  const before = await free();
  for (let i = 0; i < 4; i++) {
    await assert.rejects(get(slow.sleep.options({ timeoutMs: 50 }).remote(200, bytes)), timedOut("Slow.sleep"));
    await get(slow.pid.remote()); // it waits for the end of the call
  }
  assert.equal((await get(slow.calls.remote())).length, 8);
  await waitForCondition(async () => before - (await free()) < bytes);
});

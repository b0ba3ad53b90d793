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

class Stepper {
  step = (by: number): number => by;
}

const Walker = remote(
  class Walker extends Stepper {
    #at = 0;
    readonly walk = async (steps: number) => {
      this.#at += this.step(steps);
      return this.#at;
    };
    readonly at = 0;
  },
);

test("fields that hold functions are methods: of the class, of its parent, here and elsewhere", async () => {
  const walker = Walker.remote();
  assert.deepEqual([await get(walker.step.remote(3)), await get(walker.walk.remote(4))], [3, 4]);
  assert.equal(Reflect.get(walker, "at"), undefined);
  const elsewhere = remote(async (handle: typeof walker) => get(handle.walk.remote(5)));
  assert.equal(await get(elsewhere.remote(walker)), 9);
  const make = remote(async () => get(Walker.remote().walk.remote(6)));
  assert.equal(await get(make.remote()), 6);
});

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

class BadPort extends Error {
  readonly port: number;
  constructor(port: number) {
    super(`no such port: ${port}`);
    this.port = port;
  }
}

const Broken = remote(
  class Broken {
    constructor(kind: string) {
      if (kind === "own") throw Object.assign(new BadPort(99), { code: "EPORT" });
      if (kind === "large") throw Object.assign(new Error("large"), { all: "x".repeat(1_000_000) });
      if (kind === "long") throw new Error("long ".repeat(100_000));
      if (kind === "text") throw "just text";
    }
    read(): number {
      return 1;
    }
  },
);

/** How a call ends in this process, in a task that has the handle, and for a task that takes the call's result. */
async function endsOf(handle: ray.ActorHandle<{ read(): number }>): Promise<ray.ActorDiedError[]> {
  const elsewhere = remote(async (h: typeof handle) => {
    const begunMs = performance.now();
    try {
      await get(h.read.remote());
    } catch (error) {
      return [error, performance.now() - begunMs] as const;
    }
    return undefined;
  });
  const own = await rejection(get(handle.read.remote()));
  const [theirs, tookMs] = (await get(elsewhere.remote(handle))) ?? [];
  assert.ok((tookMs ?? 0) < 5_000, "nobody waits for an actor that will not come");
  const taken = await rejection(get(remote((n: number) => n).remote(handle.read.remote())));
  const stored = remote(([ref]: ray.ObjectRef<number>[]) => get(ref as ray.ObjectRef<number>));
  const read = await rejection(get(stored.remote([handle.read.remote()])));
  return [own, theirs, taken, read] as ray.ActorDiedError[];
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.fail("it succeeded"),
    (error: unknown) => error,
  );
}

test("a constructor's error is the cause of its calls' errors, in every process", async () => {
  for (const error of await endsOf(Broken.remote("own"))) {
    assert.ok(error instanceof ray.ActorDiedError && error.code === "ACTOR_DIED", String(error));
    assert.match(error.message, /^actor Broken \([0-9a-f]+\) was not made: Error: no such port: 99$/);
    const cause = error.cause as BadPort & { code: string; task: ray.TaskError["task"] };
    assert.deepEqual([cause.port, cause.code, cause.task.name], [99, "EPORT", "Broken"]);
    assert.ok(
      cause instanceof BadPort && cause instanceof ray.TaskError && cause.stack?.includes("actors.test"),
      cause.stack,
    );
  }
});

test("a constructor's error that is large or no error is told of all the same", async () => {
  for (const error of await endsOf(Broken.remote("large"))) {
    assert.match(error.message, /was not made: Error: large$/);
    assert.match(String(error.cause), /large/);
  }
  for (const error of await endsOf(Broken.remote("long"))) {
    assert.match(error.message, /was not made: Error: long long/);
    assert.match(String(error.cause), /long long/);
  }
  for (const error of await endsOf(Broken.remote("text"))) {
    assert.match(error.message, /was not made: "just text"$/);
    assert.equal((error.cause as ray.TaskError).thrown, "just text");
  }
});

test("whoever has the handle of an actor whose argument failed is told so at once, with the argument's error", async () => {
  const fail = remote({ name: "fail" }, (): string => {
    throw new BadPort(7);
  });
  const [own, theirs] = await endsOf(Broken.remote(fail.remote()));
  assert.equal((own as unknown as BadPort).port, 7);
  assert.ok(theirs instanceof ray.ActorDiedError);
  assert.match(theirs.message, /^actor Broken \([0-9a-f]+\) was not made: Error: no such port: 7$/);
  const cause = theirs.cause as BadPort & { task: ray.TaskError["task"] };
  assert.deepEqual([cause.port, cause.task.name, cause instanceof ray.TaskError], [7, "fail", true]);
  assert.ok(cause instanceof BadPort);

  const crash = remote({ maxRetries: 0 }, (): string => process.exit(3));
  const [, crashed] = await endsOf(Broken.remote(crash.remote()));
  assert.ok(crashed?.cause instanceof ray.WorkerCrashedError);
  assert.match(crashed.message, /was not made: WorkerCrashedError: .*exit code 3/);
});

test("an argument that another process made and that failed is the cause, too", async () => {
  const fail = remote((): string => {
    throw new BadPort(8);
  });
  const [borrowed] = await get(remote(() => [fail.remote()]).remote());
  for (const error of await endsOf(Broken.remote(borrowed as ray.ObjectRef<string>))) {
    assert.ok(error instanceof ray.ActorDiedError);
    assert.equal((error.cause as BadPort).port, 8);
  }
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

// An object lives while somebody can reach it, and is freed when nobody can.
// Method: the store's free bytes, as the GCS reports them, come back when the last holder lets go.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as ray from "../../src/api/index.js";
import { waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { usedBytes } from "../support/store.js";

const { get, put, remote } = ray;
const LARGE_BYTES = 400_000;
const Keeper = remote(
  class Keeper {
    #kept: unknown[] = [];
    keep(value: unknown[]): void {
      this.#kept.push(value);
    }
    async read(): Promise<number> {
      const [ref] = this.#kept[0] as [ray.ObjectRef<Uint8Array>];
      return (await get(ref)).length;
    }
    drop(): void {
      for (const value of this.#kept as Disposable[][]) for (const ref of value) ref[Symbol.dispose]();
      this.#kept = [];
    }
  },
);

before(async () => {
  await ray.init({ numCpus: 2, objectStoreMemory: 64 * 1024 * 1024 });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

/** Messages keep their order on the way to the GCS: its second answer comes after every release of this turn. */
async function releasesHaveArrived(): Promise<void> {
  await ray.nodes();
  await ray.nodes();
}

async function becomesEmpty(): Promise<void> {
  await waitForCondition(async () => (await usedBytes()) === 0, { timeoutMs: 5_000 });
}

test("actors whose handles nobody can reach make room for others that wait", async () => {
  const Whole = remote(
    { numCpus: 2 },
    class Whole {
      pid(): number {
        return process.pid;
      }
    },
  );
  const pidOfOne = () => get(Whole.remote().pid.remote());
  const pids = new Set([await pidOfOne(), await pidOfOne(), await pidOfOne()]);
  assert.equal(pids.size, 3);
  await becomesEmpty();
});

test("refs that nobody can reach make room in a store without disk, in whatever process they were dropped", async () => {
  const make = remote((i: number) => new Float64Array(1_000_000).fill(i));
  const lengthOf = remote((array: Float64Array) => array.length);
  const relay = remote(async (i: number) => await get(lengthOf.remote(make.remote(i))));
  await withoutDisk(async () => {
    for (let i = 0; i < 20; i++) {
      assert.equal(await get(lengthOf.remote(make.remote(i))), 1_000_000); // 160 MB of garbage
      assert.equal(await get(relay.remote(i)), 1_000_000);
    }
  });
});

test("what a process has read and dropped makes room for it in the middle of synchronous code, too", async () => {
  const program = async (): Promise<number> => {
    const make = remote({ numCpus: 0 }, (i: number) => new Float64Array(1_000_000).fill(i));
    for (let i = 0; i < 7; i++) await get(make.remote(i)); // of eight that fit
    const kept = [0, 1, 2, 3, 4].map((i) => put(new Float64Array(1_000_000).fill(i)));
    let total = 0;
    for (const ref of kept) total += (await get(ref))[999_999] as number;
    return total;
  };
  await withoutDisk(async () => {
    assert.equal(await program(), 10);
    assert.equal(await get(remote(program).remote()), 10);
  });
});

test("without disk garbage is looked for before an error, whatever earlier collections have found", async () => {
  const program = async (): Promise<number> => {
    const make = remote({ numCpus: 0 }, (i: number) => new Float64Array(200_000).fill(i));
    const readAndDrop = async (count: number) => {
      const read: Float64Array[] = []; // no collection comes too early
      for (let i = 0; i < count; i++) read.push(await get(make.remote(i)));
      assert.equal(read.length, count);
    };
    const kept: ray.ObjectRef<Float64Array>[] = [];
    for (const count of [40, 35, 30]) {
      await readAndDrop(count); // with what is kept the store is full
      kept.push(put(new Float64Array(1_048_576).fill(kept.length)));
    }
    let total = 0;
    for (const ref of kept) total += (await get(ref))[1_048_575] as number;
    return total;
  };
  await withoutDisk(async () => {
    assert.equal(await program(), 3);
    assert.equal(await get(remote(program).remote()), 3);
  });
});

async function withoutDisk(test: () => Promise<void>): Promise<void> {
  await ray.shutdown();
  process.env["MOBULA_SPILL_BYTES"] = "0";
  try {
    await ray.init({ numCpus: 2, objectStoreMemory: 64 * 1024 * 1024 });
    await test();
  } finally {
    delete process.env["MOBULA_SPILL_BYTES"];
    await ray.shutdown();
    await ray.init({ numCpus: 2, objectStoreMemory: 64 * 1024 * 1024 });
  }
}

test("dispose frees at once", async () => {
  const ref = put(new Uint8Array(LARGE_BYTES));
  await waitForCondition(async () => (await usedBytes()) >= LARGE_BYTES);
  ref[Symbol.dispose]();
  await becomesEmpty();
});

test("garbage collection frees later", async () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  (() => void put(new Uint8Array(LARGE_BYTES)))();
  await waitForCondition(async () => (await usedBytes()) >= LARGE_BYTES);
  await waitForCondition(
    async () => {
      gc();
      return (await usedBytes()) === 0;
    },
    { timeoutMs: 5_000 },
  );
});

test("a pending task keeps its arguments, and lets them go when it has answered", async () => {
  const slow = remote(async (bytes: Uint8Array) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return bytes.length;
  });
  const argument = put(new Uint8Array(LARGE_BYTES));
  const result = slow.remote(argument);
  argument[Symbol.dispose]();
  assert.equal(await get(result), LARGE_BYTES);
  await becomesEmpty();
});

test("an actor that keeps a ref keeps the object, after its maker let it go", async () => {
  const keeper = Keeper.remote();
  const ref = put(new Uint8Array(LARGE_BYTES));
  await get(keeper.keep.remote([ref]));
  ref[Symbol.dispose]();
  await releasesHaveArrived();
  assert.equal(await get(keeper.read.remote()), LARGE_BYTES);
  await get(keeper.drop.remote());
  await becomesEmpty();
});

test("an object that contains a ref keeps what the ref names", async () => {
  const inner = put(new Uint8Array(LARGE_BYTES));
  const outer = put({ inner });
  inner[Symbol.dispose]();
  await releasesHaveArrived();
  const again = await get(outer);
  assert.equal((await get(again.inner)).length, LARGE_BYTES);
  again.inner[Symbol.dispose]();
  outer[Symbol.dispose]();
  await becomesEmpty();
});

test("a worker that dies lets go of what it held", async () => {
  const keeper = Keeper.remote();
  const ref = put(new Uint8Array(LARGE_BYTES));
  await get(keeper.keep.remote([ref]));
  ref[Symbol.dispose]();
  await ray.kill(keeper);
  await becomesEmpty();
});

test("results that nobody asks for are freed when they arrive", async () => {
  const make = remote(() => new Uint8Array(LARGE_BYTES));
  make.remote()[Symbol.dispose]();
  const later = make.remote();
  await get(later);
  later[Symbol.dispose]();
  await becomesEmpty();
});

test("what a task returns after its time, while it may still run, is freed", async () => {
  const used = await usedBytes();
  const untilTold = remote(async (bytes: number) => {
    const { signal } = ray.context();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return new Uint8Array(bytes);
  });
  for (let i = 0; i < 3; i++) {
    const late = untilTold.options({ timeoutMs: 500 }).remote(4_000_000);
    await assert.rejects(get(late), ray.TaskTimeoutError);
  }
  await waitForCondition(async () => (await ray.availableResources())["CPU"] === 2); // the last one has ended
  await waitForCondition(async () => (await usedBytes()) === used);
});

/** Makes a ref of its own to a result that is an error, or that never comes. */
const Promiser = remote(
  { numCpus: 0 },
  class Promiser {
    anError(): ray.ObjectRef<number>[] {
      const fails = remote((): number => {
        throw new Error("the other argument");
      });
      return [fails.remote()];
    }
    nothing(): ray.ObjectRef<number>[] {
      return [remote(() => new Promise<number>(() => {})).remote()];
    }
  },
);
const Taker = remote(
  { numCpus: 0 },
  class Taker {
    take(array: Float64Array, other: number): number {
      return array.length + other;
    }
    isReady(): boolean {
      return true;
    }
  },
);

for (const [end, what] of [
  ["is an error", "anError"],
  ["is lost with its owner", "nothing"],
] as const) {
  test(`an argument that is here already is let go at once when another one ${end}`, async () => {
    const promiser = Promiser.remote();
    using taker = Taker.remote();
    await get(taker.isReady.remote());
    const around = promiser[what].remote(); // a ref of its own: garbage would be collected at some time only
    const [other] = await get(around);
    assert.ok(other !== undefined);
    const array = put(new Float64Array(1_000_000));
    const call = taker.take.remote(array, other);
    if (what === "nothing") {
      await waitForCondition(
        async () => (await get(taker.isReady.options({ timeoutMs: 100 }).remote()).catch(() => false)) === false,
      );
      await ray.kill(promiser);
    }
    await assert.rejects(get(call), what === "anError" ? /the other argument/ : ray.OwnerDiedError);
    for (const ref of [array, around, other, call]) ref[Symbol.dispose]();
    promiser[Symbol.dispose](); // with it goes its own ref
    await becomesEmpty();
  });
}

// A sequence map holds what a Map would hold, in ascending order, however keys come and go.
// Method: random programs of sets, gets and deletes on both, with keys that mostly ascend and some that stay for ever.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "./prng.js";
import { SequenceMap } from "./sequence-map.js";

test("it agrees with a Map", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const prng = new Prng(seed);
    const map = new Map<number, { readonly key: number }>();
    const ring = new SequenceMap<{ readonly key: number }>();
    const window = 1 + prng.below(2_000);
    for (let next = 0, step = 0; step < 5_000; step++) {
      if (prng.chance(0.55) || map.size === 0) {
        const value = { key: next };
        map.set(next, value);
        ring.set(next++, value);
      } else {
        const keys = [...map.keys()];
        const key = keys[prng.below(Math.min(keys.length, window))] ?? 0;
        if (key % 97 !== 0) assert.equal(ring.delete(key), map.delete(key)); // every 97th is never answered
      }
      const probe = prng.below(next + 5);
      assert.equal(ring.get(probe), map.get(probe));
      assert.equal(ring.size, map.size);
    }
    assert.deepEqual(ring.keys(), [...map.keys()]);
    assert.deepEqual(ring.values(), [...map.values()]);
    ring.clear();
    assert.equal(ring.size, 0);
    assert.deepEqual(ring.values(), []);
  }
});

test("the old that stays does not make the ring grow without end", () => {
  const ring = new SequenceMap<object>();
  const stuck = {};
  ring.set(0, stuck);
  for (let key = 1; key < 200_000; key++) {
    ring.set(key, {});
    assert.equal(ring.delete(key), true);
  }
  assert.equal(ring.get(0), stuck);
  assert.equal(ring.size, 1);
});

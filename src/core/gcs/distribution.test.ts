// A broadcast grows as a tree: no copy serves more than a few at a time, and nobody waits for itself.
// Method: pullers come, end and come again, by hand and at random.
import assert from "node:assert/strict";
import { test } from "node:test";
import { node } from "../../../test/support/names.js";
import { Prng } from "../../base/prng.js";
import { Distribution } from "./distribution.js";

const nodes = (...names: readonly string[]) => new Set(names.map(node));

test("eight pullers of one copy form a tree, and have the copy itself in reserve", () => {
  const distribution = new Distribution();
  const first = Array.from({ length: 8 }, (_, i) => {
    const { locations, width } = distribution.assign(node(`w${i}`), nodes("S"));
    assert.equal(width, 1);
    if (locations[0] !== "S") assert.deepEqual(locations.slice(1), ["S"]);
    return locations[0];
  });
  assert.deepEqual(first, ["S", "S", "w0", "w0", "w1", "w1", "w2", "w2"]);
  distribution.check();
});

test("several free copies are used together; a busy one comes last", () => {
  const distribution = new Distribution();
  assert.deepEqual(distribution.assign(node("w"), nodes("A", "B")), { locations: ["A", "B"], width: 2 });
  distribution.assign(node("x"), nodes("A"));
  assert.deepEqual(distribution.assign(node("y"), nodes("A", "B")), { locations: ["B", "A"], width: 1 });
});

test("a copy is free again when its pullers have ended", () => {
  const distribution = new Distribution();
  for (const name of ["w", "x"]) distribution.assign(node(name), nodes("S"));
  distribution.ended(node("w"));
  assert.deepEqual(distribution.assign(node("y"), nodes("S")).locations, ["S"]);
  for (const name of ["x", "y"]) distribution.ended(node(name));
  assert.equal(distribution.isIdle, true);
});

test("who begins anew is not sent to those who pull from it", () => {
  const distribution = new Distribution();
  for (const name of ["w", "x", "w1", "w2", "w11"]) distribution.assign(node(name), nodes("S"));
  distribution.assign(node("x2"), nodes("S"));
  const { locations } = distribution.assign(node("w"), nodes("S"));
  assert.ok(!["w1", "w2", "w11"].includes(locations[0] ?? ""), locations.join());
  distribution.check();
});

test("at random: a puller always has somebody to pull from, and never in a circle", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const prng = new Prng(seed);
    const distribution = new Distribution();
    const copies = nodes("S");
    const pulling = new Set<string>();
    for (let step = 0; step < 200; step++) {
      const name = `w${prng.below(30)}`;
      if (prng.chance(0.6) && !copies.has(node(name))) {
        const { locations, width } = distribution.assign(node(name), copies);
        assert.ok(locations.length > 0 && width > 0);
        pulling.add(name);
      } else if (pulling.delete(name)) {
        distribution.ended(node(name));
        if (prng.chance(0.5)) copies.add(node(name));
      } else if (copies.size > 1) {
        copies.delete(node(name));
      }
      distribution.check();
    }
  }
});

test("who begins anew is not sent again to the puller where it failed", () => {
  const distribution = new Distribution();
  for (const name of ["w", "x"]) distribution.assign(node(name), nodes("S"));
  assert.deepEqual(distribution.assign(node("y"), nodes("S")).locations, ["w", "S"]);
  assert.deepEqual(distribution.assign(node("y"), nodes("S"), node("w")).locations, ["x", "S"]);
});

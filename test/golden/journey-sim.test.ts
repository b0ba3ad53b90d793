// The lecture's program, run on the real machines in the simulator, makes exactly the lecture's steps in their places.
// Method: run it with several seeds, which order what happens at the same time; compare the transcript with the one kept here.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { goldenJourney } from "../../sim/golden.js";
import { causalViolations, transcriptOf } from "../../src/core/transcript.js";

const EXPECTED = new URL("../../../test/golden/journey.txt", import.meta.url); // this file runs from dist

test("the simulator's journey of the lecture's program is the golden one", () => {
  const expected = readFileSync(EXPECTED, "utf8").trimEnd().split("\n");
  for (let seed = 1; seed <= 20; seed++) {
    const { records, subjects, nodes, tokens } = goldenJourney(seed);
    assert.deepEqual(transcriptOf(records, subjects, { nodes }), expected, `seed ${seed}`);
    assert.deepEqual(causalViolations(records, subjects), [], `seed ${seed}`);
    assert.deepEqual(tokens, ["a+b", "1"]);
  }
});

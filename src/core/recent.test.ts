// What was seen lately is known; beyond the limit the oldest is forgotten.
// Method: add by hand and ask.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Recent } from "./recent.js";

test("the last ids are known, each counted once", () => {
  const recent = new Recent<string>(2);
  for (const id of ["a", "b", "b", "c"]) recent.add(id);
  assert.deepEqual(
    ["a", "b", "c"].map((id) => recent.has(id)),
    [false, true, true],
  );
});

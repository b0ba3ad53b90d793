// Raylet and worker see each other's claim words, each worker in its own place; without a file or an addon there are none.
// Method: two mappings of one file, where this machine has the addon.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { sharedMemoryDirectory } from "../../test/support/modes.js";
import { MAX_WORKERS_PER_NODE } from "../base/limits.js";
import { RayletClaims, UNCLAIMED, WorkerClaims } from "../core/executor/claim-words.js";
import { ClaimFile, chooseClaimsPath } from "./claim-file.js";
import { loadNative } from "./native.js";

const directory = mkdtempSync(join(sharedMemoryDirectory(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));

test("what a worker starts its raylet sees in another mapping, and the other way round", () => {
  const path = join(directory, "words");
  const raylet = ClaimFile.create(path);
  if (loadNative() === undefined) return assert.equal(raylet, undefined);
  const worker = ClaimFile.open(path);
  assert.ok(raylet !== undefined && worker !== undefined);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  for (const place of [0, 1, MAX_WORKERS_PER_NODE - 1]) {
    const lease = { ...UNCLAIMED, claim: place + 1 };
    const claims = new WorkerClaims(worker.wordsOf(place));
    claims.open(lease);
    assert.equal(claims.mayStart(lease, 3), true);
    assert.equal(new RayletClaims(raylet.wordsOf(place)).recall(place + 1, 5), 3);
    assert.equal(claims.mayStart(lease, 4), false);
  }
  assert.throws(() => raylet.wordsOf(MAX_WORKERS_PER_NODE), /invariant broken/);
  assert.equal(ClaimFile.create(path), undefined, "it is there already");
  raylet.unlink();
  raylet.unlink();
  assert.equal(existsSync(path), false);
});

test("where there is no file, and no place for one, there are no words", () => {
  assert.equal(ClaimFile.open(join(directory, "none")), undefined);
  assert.equal(ClaimFile.create(join(directory, "no/such/directory")), undefined);
});

test("the file bears its session's name, so that whoever sweeps finds it", () => {
  const path = chooseClaimsPath({ name: "session-1", directory: "/tmp/session-1" }, "abc");
  assert.match(path, /\/mobula-session-1-abc\.claims$/);
});

// What a user can make too long, too many or too large is refused with a typed error or goes another way; the connection stays.
// Method: one real cluster for the whole file; each refusal is followed by ordinary work.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import {
  MAX_ARGUMENTS,
  MAX_CUSTOM_RESOURCES,
  MAX_ERROR_BYTES,
  MAX_INLINE_BYTES,
  MAX_INLINE_SUM_BYTES,
  MAX_KEY_BYTES,
  MAX_TEXT_BYTES,
} from "../../src/base/limits.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const LONG = "x".repeat(MAX_TEXT_BYTES + 1);
/** Values just below the size from which on they are stored; more of them than travel together. */
const SMALL_BYTES = MAX_INLINE_BYTES - 1_000;
const MANY = Math.ceil((1.2 * MAX_INLINE_SUM_BYTES) / SMALL_BYTES);

const echo = ray.remote((value: unknown) => value);
const count = ray.remote((...args: unknown[]) => args.length);

before(async () => {
  await ray.init({ numCpus: 1, logToDriver: false });
});

afterEach(async () => {
  assert.equal(await ray.get(echo.remote("still there")), "still there");
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

test("names that are too long are refused where they are given; the longest are taken", async () => {
  const named = Object.defineProperty(() => 1, "name", { value: LONG });
  const options = { schedulingStrategy: { nodeId: "0".repeat(65) } };
  const manyKinds = Object.fromEntries(Array.from({ length: MAX_CUSTOM_RESOURCES + 1 }, (_, i) => [`r${i}`, 1]));
  const Actor = ray.remote(class Actor {});
  for (const refused of [
    () => echo.options({ name: LONG }),
    () => echo.options({ name: "ä".repeat(MAX_TEXT_BYTES / 2 + 1) }),
    () => ray.remote(named),
    () => echo.options(options),
    () => echo.options({ resources: { ["r".repeat(MAX_KEY_BYTES + 1)]: 1 } }),
    () => echo.options({ resources: manyKinds }),
    () => Actor.options({ name: LONG }),
    () => Actor.options({ namespace: LONG }),
  ]) {
    assert.throws(refused, (error) => error instanceof ray.InvalidOptionError && error.message.length < 1_000);
  }
  await assert.rejects(ray.getActor(LONG), (error) => error instanceof ray.InvalidOptionError);
  await assert.rejects(ray.getActor("a", { namespace: LONG }), (error) => error instanceof ray.InvalidOptionError);
  const longest = "ä".repeat(MAX_TEXT_BYTES / 2);
  assert.equal(await ray.get(echo.options({ name: longest }).remote(1)), 1);
});

test("a task takes as many arguments as the limit says, and is refused with one more", async () => {
  const args = new Array<number>(MAX_ARGUMENTS).fill(1);
  assert.equal(await ray.get(count.remote(...args)), MAX_ARGUMENTS);
  assert.throws(
    () => count.remote(...args, 1),
    (error) => error instanceof ray.InvalidOptionError,
  );
});

test("small arguments and results that are much together go by the store", async () => {
  const args = Array.from({ length: MANY }, () => new Uint8Array(SMALL_BYTES));
  assert.equal(await ray.get(count.remote(...args)), MANY);
  const make = ray.remote((length: number, bytes: number) =>
    Array.from({ length }, (_, i) => new Uint8Array(bytes).fill(i)),
  );
  const refs = make.options({ numReturns: MANY }).remote(MANY, SMALL_BYTES) as unknown as ray.ObjectRef<Uint8Array>[];
  const values = await ray.get(refs);
  assert.deepEqual([values.length, values[7]?.[0], values[MANY - 1]?.[0]], [MANY, 7, (MANY - 1) % 256]);
});

test("an error that is too large arrives in words", async () => {
  const heavy = ray.remote((bytes: number) => {
    throw Object.assign(new TypeError("too heavy"), { ballast: "x".repeat(bytes) });
  });
  const error = await ray.get(heavy.remote(MAX_ERROR_BYTES + 1)).catch((e: unknown) => e);
  assert.ok(error instanceof ray.TaskError && error instanceof Error);
  assert.match(error.message, /TypeError: too heavy.*bytes are too many/);
});

test("a worker's last words may be long: its task fails with them, cut, and the node lives on", async () => {
  const talkative = ray.remote(() => {
    for (let i = 0; i < 30; i++) console.error("e".repeat(60_000));
    console.log("o".repeat(200_000));
    return new Promise(() => setTimeout(() => process.exit(3), 100));
  });
  const error = await ray.get(talkative.options({ maxRetries: 0 }).remote()).catch((e: unknown) => e);
  assert.ok(error instanceof ray.WorkerCrashedError, String(error).slice(0, 500));
  assert.match(error.message, /exit code 3.*last words.*eee…/s);
});

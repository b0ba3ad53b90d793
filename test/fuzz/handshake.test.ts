// A mutated handshake never succeeds and never fails with anything but its two errors.
// Method: every single-bit flip of each frame, then seeded random cuts, insertions and bytes; real HMACs.
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { test } from "node:test";
import { MAX_HANDSHAKE_FRAME_BYTES } from "../../src/base/limits.js";
import { Prng } from "../../src/base/prng.js";
import { AuthenticationError, ProtocolError } from "../../src/errors.js";
import { FrameSplitter } from "../../src/protocol/frames.js";
import { type Accepted, ClientHandshake, ServerHandshake, type ServerIdentity } from "../../src/protocol/handshake.js";
import { PREAMBLE_BYTES } from "../../src/protocol/preamble.js";

const crypto = {
  nonce: () => new Uint8Array(32).fill(7),
  hmac: (secret: Uint8Array, data: Uint8Array) => createHmac("sha256", secret).update(data).digest(),
  equal: (a: Uint8Array, b: Uint8Array) => timingSafeEqual(a, b),
};
const SECRET = Buffer.from("a secret of the cluster");
const worker = { role: "worker", nodeId: "a1b2", processId: "0123456789ab" } as const;
const raylet = { role: "raylet", nodeId: "a1b2", processId: "ba9876543210", clusterId: "c0" } as const;

/** One honest run up to (not including) the delivery of the frame under test. */
function run() {
  const server = new ServerHandshake(crypto, SECRET, raylet);
  const client = new ClientHandshake(crypto, SECRET, worker, "messages");
  const challenge = server.challenge().slice(PREAMBLE_BYTES);
  return { server, client, challenge };
}

/** What the splitter and the machine make of these bytes: results of the machine, or the error that closed it. */
function outcome<T>(
  bytes: Uint8Array,
  receive: (type: number, bytes: Uint8Array, start: number, end: number) => T,
): T[] {
  const results: T[] = [];
  try {
    new FrameSplitter(MAX_HANDSHAKE_FRAME_BYTES, (...frame) => results.push(receive(...frame))).push(bytes);
  } catch (error) {
    assert.ok(error instanceof AuthenticationError || error instanceof ProtocolError, String(error));
  }
  return results;
}

function isWelcome(result: Uint8Array | ServerIdentity): result is ServerIdentity {
  return !(result instanceof Uint8Array);
}

function honestAnswer(): Uint8Array {
  const { client, challenge } = run();
  return (outcome(challenge, (...frame) => client.receive(...frame))[0] as Uint8Array).slice();
}

function honestWelcome(): Uint8Array {
  const { server } = run();
  return (outcome(honestAnswer(), (...frame) => server.answer(...frame))[0] as Accepted).reply.slice();
}

function serverAccepts(answer: Uint8Array): boolean {
  const { server } = run();
  return outcome(answer, (...frame) => server.answer(...frame)).length > 0;
}

function clientAccepts(welcome: Uint8Array): boolean {
  const { client, challenge } = run();
  outcome(challenge, (...frame) => client.receive(...frame));
  return outcome(welcome, (...frame) => client.receive(...frame)).some(isWelcome);
}

function mutate(prng: Prng, bytes: Uint8Array): Uint8Array {
  const out = [...bytes];
  for (let n = 1 + prng.below(4); n > 0; n--) {
    const at = prng.below(out.length + 1);
    const kind = prng.below(4);
    if (kind === 0) out.splice(at, 1 + prng.below(8));
    else if (kind === 1) out.splice(at, 0, prng.below(256));
    else if (kind === 2) out.length = Math.min(at, out.length);
    else out[Math.min(at, out.length)] = prng.below(256);
  }
  return Uint8Array.from(out);
}

test("the honest frames are accepted", () => {
  assert.ok(serverAccepts(honestAnswer()));
  assert.ok(clientAccepts(honestWelcome()));
});

test("no single flipped bit of an answer or a welcome is accepted", () => {
  for (const [bytes, accepts] of [
    [honestAnswer(), serverAccepts],
    [honestWelcome(), clientAccepts],
  ] as const) {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.ok(!accepts(flipped), `bit ${bit} was flipped and nobody noticed`);
    }
  }
});

test("no mutated frame is accepted", () => {
  const [answer, welcome] = [honestAnswer(), honestWelcome()];
  for (let seed = 0; seed < 3_000; seed++) {
    const prng = new Prng(seed);
    const [original, accepts] =
      seed % 2 === 0 ? ([answer, serverAccepts] as const) : ([welcome, clientAccepts] as const);
    const mutated = mutate(prng, original);
    // Bytes behind a whole, honest frame are the next frame's business.
    if (Buffer.from(mutated).subarray(0, original.length).equals(original)) continue;
    assert.ok(!accepts(mutated), `seed ${seed}`);
  }
});

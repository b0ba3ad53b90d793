// Both ends of the handshake end up knowing each other exactly when they share the secret.
// Method: pass the bytes of one end to the other by hand, with real HMACs and nonces from a counter.
import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { test } from "node:test";
import { MAX_HANDSHAKE_FRAME_BYTES } from "../base/limits.js";
import { AuthenticationError, ProtocolError } from "../errors.js";
import { FrameSplitter } from "./frames.js";
import { ClientHandshake, REFUSAL_FRAME, ServerHandshake, type ServerIdentity } from "./handshake.js";
import { PREAMBLE_BYTES } from "./preamble.js";

let drawn = 0;
const crypto = {
  nonce: () => new Uint8Array(32).fill(++drawn),
  hmac: (secret: Uint8Array, data: Uint8Array) => createHmac("sha256", secret).update(data).digest(),
  equal: (a: Uint8Array, b: Uint8Array) => timingSafeEqual(a, b),
};
const SECRET = Buffer.from("a secret of the cluster");
const driver = { role: "driver", nodeId: "n1", processId: "0123456789ab" } as const;
const head: ServerIdentity = { role: "head", nodeId: "n1", processId: "00000000000f", clusterId: "c1" };

/** Call `receive` with the one frame in `bytes`. */
function deliver<T>(bytes: Uint8Array, receive: (type: number, bytes: Uint8Array, start: number, end: number) => T): T {
  const results: T[] = [];
  new FrameSplitter(MAX_HANDSHAKE_FRAME_BYTES, (type, at, start, end) =>
    results.push(receive(type, at, start, end)),
  ).push(bytes);
  assert.equal(results.length, 1);
  return results[0] as T;
}

function ends(clientSecret = SECRET, serverSecret = SECRET) {
  const client = new ClientHandshake(crypto, clientSecret, driver, "objects");
  const server = new ServerHandshake(crypto, serverSecret, head);
  return {
    id: () => client.id,
    challenge: () => server.challenge().subarray(PREAMBLE_BYTES),
    client: (bytes: Uint8Array) => deliver(bytes, (...frame) => client.receive(...frame)),
    server: (bytes: Uint8Array) => deliver(bytes, (...frame) => server.answer(...frame)),
  };
}

test("with one secret, each end learns who the other is", () => {
  const { challenge, client, server } = ends();
  const accepted = server(client(challenge()) as Uint8Array);
  assert.deepEqual(accepted.client, driver);
  assert.equal(accepted.purpose, "objects");
  assert.deepEqual(client(accepted.reply), head);
});

test("each connection has a name, which both ends know and no other connection has", () => {
  const [first, second] = [ends(), ends()].map(({ id, challenge, client, server }) => {
    const accepted = server(client(challenge()) as Uint8Array);
    client(accepted.reply);
    assert.equal(id(), accepted.id);
    return accepted.id;
  });
  assert.match(first ?? "", /^[0-9a-f]{32}$/);
  assert.notEqual(first, second);
});

test("a client without the secret is refused, and hears only that", () => {
  const { challenge, client, server } = ends(Buffer.from("another secret, guessed"));
  assert.throws(() => server(client(challenge()) as Uint8Array), AuthenticationError);
  assert.throws(() => client(REFUSAL_FRAME), AuthenticationError);
});

test("a server that does not know the secret cannot prove itself", () => {
  const impostor = ends(Buffer.from("another secret, guessed"), Buffer.from("another secret, guessed"));
  const { challenge, client } = ends();
  client(challenge());
  const { reply } = impostor.server(impostor.client(impostor.challenge()) as Uint8Array);
  assert.throws(() => client(reply), AuthenticationError);
});

test("a proof cannot be replayed: another connection has another nonce", () => {
  const first = ends();
  const answer = first.client(first.challenge()) as Uint8Array;
  first.server(answer);
  const second = ends();
  second.challenge();
  assert.throws(() => second.server(answer), AuthenticationError);
});

test("a client cannot change who it is after the proof was made", () => {
  const { challenge, client, server } = ends();
  const answer = client(challenge()) as Uint8Array;
  const at = Buffer.from(answer).indexOf("0123456789ab");
  answer[at] = 0x66;
  assert.throws(() => server(answer), AuthenticationError);
});

test("frames out of turn are refused by both ends", () => {
  const { challenge, client, server } = ends();
  const first = challenge();
  const answer = client(first) as Uint8Array;
  assert.throws(() => client(first), ProtocolError); // a second challenge
  const { reply } = server(answer);
  assert.throws(() => server(answer), AuthenticationError); // a second answer
  assert.throws(() => ends().client(reply), ProtocolError); // a welcome before the challenge
});

test("the longest identities fit the handshake's frames", () => {
  const long = "f".repeat(64);
  const server = new ServerHandshake(crypto, SECRET, {
    role: "worker",
    nodeId: long,
    processId: long,
    clusterId: long,
  });
  const client = new ClientHandshake(crypto, SECRET, { role: "tool", nodeId: long, processId: long }, "messages");
  const answer = deliver(server.challenge().subarray(PREAMBLE_BYTES), (...frame) =>
    client.receive(...frame),
  ) as Uint8Array;
  const { reply } = deliver(answer, (...frame) => server.answer(...frame));
  assert.equal((deliver(reply, (...frame) => client.receive(...frame)) as ServerIdentity).clusterId, long);
});

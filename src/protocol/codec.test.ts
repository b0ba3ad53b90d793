// Every message comes back as it was sent; bytes that are not exactly a message are refused, with nothing but ProtocolError.
// Method: for each type of the message table, values generated from its schema; truncated and changed bytes; pure noise.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MESSAGE_TYPES, messageOf } from "../../test/support/generated.js";
import { lease, process } from "../../test/support/names.js";
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { GCS, type ProcessRef } from "../base/ids.js";
import { ProtocolError } from "../errors.js";
import { type Envelope, mayReceive, maySend, readEnvelope, writeEnvelope } from "./codec.js";
import { MESSAGES, type Message, type Role } from "./messages.js";

const FROM: ProcessRef = { nodeId: GCS.nodeId, processId: "abc123" as ProcessRef["processId"] };
const ROLES: readonly Role[] = ["driver", "worker", "raylet", "gcs", "tool"];

function encode(message: Message): Uint8Array {
  const writer = new ByteWriter();
  writeEnvelope(writer, { to: GCS, from: FROM, message });
  return writer.copy();
}

/** What arrives; undefined when it was refused. Any other exception is a failure of the test. */
function decode(bytes: Uint8Array): Envelope | undefined {
  try {
    return readEnvelope(new ByteReader(bytes));
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

for (const type of MESSAGE_TYPES) {
  test(`${type} comes back as it was sent, and what was cut from it is missed`, () => {
    fc.assert(
      fc.property(messageOf(type), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (message, cut) => {
        const bytes = encode(message);
        assert.deepEqual(decode(bytes), { to: GCS, from: FROM, message });
        assert.equal(decode(bytes.subarray(0, Math.floor(bytes.length * cut))), undefined);
        assert.equal(decode(Uint8Array.of(...bytes, 0)), undefined);
      }),
      { numRuns: 15 },
    );
  });
}

const anyMessage = fc.constantFrom(...MESSAGE_TYPES).chain(messageOf);

test("changed bytes give a refusal, or another valid message that means what its bytes say", () => {
  const change = fc.record({
    at: fc.nat(10_000),
    byte: fc.oneof(fc.nat(0xff), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
  });
  fc.assert(
    fc.property(anyMessage, fc.array(change, { minLength: 1, maxLength: 4 }), (message, changes) => {
      const bytes = encode(message);
      for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
      const envelope = decode(bytes);
      if (envelope === undefined) return;
      const writer = new ByteWriter();
      writeEnvelope(writer, envelope);
      // A map whose names became equal is shorter; every other message has one encoding.
      if (writer.length === bytes.length) assert.deepEqual(writer.copy(), bytes);
      else assert.ok(writer.length < bytes.length);
    }),
    { numRuns: 1_000 },
  );
});

test("noise is refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      decode(noise); // nearly always undefined, and never another exception
    }),
    { numRuns: 1_000 },
  );
});

test("a message may follow other bytes in a buffer: a reader begins and ends where it is told", () => {
  const message: Message = { type: "closeLease", leaseId: lease("d1.1") };
  const bytes = encode(message);
  const within = Uint8Array.of(9, 9, 9, ...bytes, 9);
  assert.deepEqual(readEnvelope(new ByteReader(within, 3, within.length - 1)).message, message);
});

test("what is kept of a message is its own: the frame may be used again", () => {
  const payload = Uint8Array.of(1, 2, 3);
  const bytes = encode({ type: "functionFound", functionId: "f" as never, payload });
  const message = readEnvelope(new ByteReader(bytes)).message;
  bytes.fill(0);
  assert.ok(message.type === "functionFound");
  assert.deepEqual(message.payload, payload);
});

// ── Roles ───────────────────────────────────────────────────────────────────────────────────────────────────────────

test("a role may send and receive exactly what the table lists for it; everything else is refused", () => {
  for (const type of MESSAGE_TYPES) {
    const { from, to } = MESSAGES[type];
    assert.ok(from.length > 0 && to.length > 0, `${type} has a sender and a receiver`);
    for (const role of ROLES) {
      assert.equal(maySend(role, type), (from as readonly Role[]).includes(role));
      assert.equal(mayReceive(role, type), (to as readonly Role[]).includes(role));
    }
  }
});

test("user processes may not speak for the control plane", () => {
  const forbidden = ["registerNode", "processJoined", "processDied", "jobEnded", "freeObject", "nodeLost"] as const;
  for (const type of forbidden) {
    for (const role of ["driver", "worker", "tool"] as const)
      assert.equal(maySend(role, type), false, `${role} ${type}`);
  }
  for (const type of ["leaseGranted", "openLease", "dispatchTask", "killProcess", "createActor"] as const) {
    for (const role of ["driver", "worker", "tool"] as const)
      assert.equal(maySend(role, type), false, `${role} ${type}`);
  }
  for (const type of MESSAGE_TYPES) {
    if (maySend("tool", type))
      assert.ok(["drainNode", "query", "stopCluster"].includes(type), `a tool may send ${type}`);
  }
});

test("a known address is not needed to be refused: ids have one form", () => {
  for (const nodeId of ["", "N1", "../x", "a b", "0".repeat(65), ".a"]) {
    const writer = new ByteWriter();
    writeEnvelope(writer, { to: process("d", nodeId), from: FROM, message: { type: "stopCluster" } });
    assert.equal(decode(writer.copy()), undefined, nodeId);
  }
});

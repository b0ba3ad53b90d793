// Synchronous code asks another process and gets its answer, or an error, and the event loop never turns meanwhile.
// Method: a server in a process of its own, on a real Unix socket with the real handshake.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ByteWriter } from "../base/bytes.js";
import { AuthenticationError, ConnectionError } from "../errors.js";
import { beginFrame, endFrame } from "../protocol/frames.js";
import { SyncConnection } from "./sync-connection.js";

const SERVER = fileURLToPath(new URL("../../test/fixtures/sync-server.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
const path = join(directory, "s.sock");
const secret = "0123456789abcdef";
const identity = { role: "driver", nodeId: "n1", processId: "0123456789ab" } as const;
const PATIENCE_MS = 10_000;

let server: ChildProcess;

before(async () => {
  server = spawn(process.execPath, [SERVER, path, secret], { stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(server.stdout !== null);
  await once(server.stdout, "data");
});

after(async () => {
  server.kill();
  await once(server, "exit");
  rmSync(directory, { recursive: true });
});

function dial(waitReadable?: (fd: number, timeoutMs: number) => void): SyncConnection {
  return SyncConnection.dial(path, { identity, secret: Buffer.from(secret), purpose: "store", waitReadable });
}

function frame(type: number, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  const at = beginFrame(writer, type);
  writer.raw(body);
  endFrame(writer, at);
  return writer.written();
}

test("questions are answered in one turn, small ones and ones larger than any buffer", (t) => {
  let turned = false;
  setImmediate(() => {
    turned = true;
  });
  const connection = dial();
  t.after(() => connection.destroy());
  for (const length of [0, 5, 100_000, 3_000_000]) {
    const body = new Uint8Array(length).fill(length % 251);
    connection.send(frame(1, body), PATIENCE_MS);
    const answer = connection.receive(PATIENCE_MS);
    assert.equal(answer?.type, 1);
    assert.ok(Buffer.from(body).equals(answer.body));
  }
  assert.equal(turned, false);
});

test("several answers that come together are given one by one", (t) => {
  const connection = dial();
  t.after(() => connection.destroy());
  for (let i = 0; i < 10; i++) connection.send(frame(1, Uint8Array.of(i)), PATIENCE_MS);
  for (let i = 0; i < 10; i++) assert.deepEqual(connection.receive(PATIENCE_MS)?.body, Uint8Array.of(i));
});

test("no answer in time is no answer; the connection goes on", (t) => {
  const waits: number[] = [];
  const connection = dial((fd, timeoutMs) => waits.push(fd, timeoutMs));
  t.after(() => connection.destroy());
  connection.send(frame(2, Uint8Array.of(1)), PATIENCE_MS);
  assert.equal(connection.receive(5), undefined);
  connection.send(frame(1, Uint8Array.of(2)), PATIENCE_MS);
  assert.deepEqual(connection.receive(PATIENCE_MS)?.body, Uint8Array.of(2));
  assert.ok(waits.length > 0, "a way of waiting that is given is used");
});

test("a peer that ends the connection, nobody, and a wrong secret are errors of their own", (t) => {
  const connection = dial();
  t.after(() => connection.destroy());
  connection.send(frame(3, new Uint8Array(0)), PATIENCE_MS);
  assert.throws(() => connection.receive(PATIENCE_MS), ConnectionError);
  const options = { identity, secret: Buffer.from(secret), purpose: "store" } as const;
  assert.throws(() => SyncConnection.dial(`${path}.nobody`, options), ConnectionError);
  const wrong = { ...options, secret: Buffer.from("fedcba9876543210") };
  assert.throws(() => SyncConnection.dial(path, wrong), AuthenticationError);
});

// A connection delivers every frame once, in order, and says how it ended.
// Method: two connections over a real Unix socket, authenticated by the real handshake.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { MAX_SEND_QUEUE_BYTES } from "../base/limits.js";
import { ConnectionError, ProtocolError } from "../errors.js";
import { Acceptor } from "./acceptor.js";
import { Connection } from "./connection.js";
import { dial, dialWire } from "./dial.js";
import { listen } from "./listener.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
const address = { unixPath: join(directory, "s.sock") };
const secret = Buffer.from("0123456789abcdef");
const identity = { role: "driver", nodeId: "n1", processId: "0123456789ab" } as const;

const waiting: ((connection: Connection) => void)[] = [];
const acceptor = new Acceptor({
  identity: { role: "raylet", nodeId: "n1", processId: "00000000000f" },
  secret,
  accept: (connection) => waiting.shift()?.(connection),
});
const listener = await listen(address, acceptor);
after(() => {
  listener.close();
  rmSync(directory, { recursive: true });
});

const accepted = () => new Promise<Connection>((resolve) => waiting.push(resolve));

async function pair(): Promise<[Connection, Connection]> {
  const server = accepted();
  const client = await dial(address, { identity, secret });
  return [client, await server];
}

/** Start a connection; gives its frames so far, and promises of the n-th frame and of its end. */
function recording(connection: Connection) {
  const frames: string[] = [];
  let wake = () => {};
  const ended = new Promise<Error | undefined>((resolve) => {
    connection.start({
      frame: (type, bytes, start, end) => {
        frames.push(`${type} ${Buffer.from(bytes.subarray(start, end)).toString()}`);
        wake();
      },
      closed: resolve,
    });
  });
  const count = async (n: number) => {
    while (frames.length < n) await new Promise<void>((resolve) => (wake = resolve));
    return frames;
  };
  return { frames, count, ended };
}

const ignoring = { frame: () => {}, closed: () => {} };

test("frames arrive whole and in order, in both directions", async () => {
  const [client, server] = await pair();
  const atClient = recording(client);
  const atServer = recording(server);
  for (let i = 0; i < 10_000; i++) client.send(i % 256, Buffer.from(`frame ${i}`));
  server.send(7, Buffer.from("hello"));
  const frames = await atServer.count(10_000);
  assert.equal(frames[0], "0 frame 0");
  assert.equal(frames[9_999], `${9_999 % 256} frame 9999`);
  assert.deepEqual(await atClient.count(1), ["7 hello"]);
  assert.equal(client.bytesSent, server.bytesReceived);
  client.close();
});

test("all frames of a turn leave with one write", async () => {
  const opened = await Promise.all([accepted(), dialWire(address, { identity, secret })]);
  const { socket } = opened[1].wire;
  const client = new Connection(opened[1]);
  let writes = 0;
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (...args: unknown[]) => {
    writes++;
    return write(...args);
  };
  const atServer = recording(opened[0]);
  client.start(ignoring);
  for (let i = 0; i < 100; i++) client.send(1, Buffer.from("x"));
  await Promise.resolve();
  client.send(1, Buffer.from("from a microtask of the same turn"));
  await atServer.count(101);
  assert.equal(writes, 1);
  client.close();
});

test("frames sent before the other side starts are kept for it", async () => {
  const server = accepted();
  const dialled = dial(address, { identity, secret });
  (await server).send(1, Buffer.from("early"));
  const client = await dialled;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(await recording(client).count(1), ["1 early"]);
  client.destroy();
});

test("a large tail is sent from where it lies, and given back when it was taken", async () => {
  const [client, server] = await pair();
  const sizes: number[] = [];
  const arrived = new Promise<void>((resolve) =>
    server.start({
      frame: (_type, _bytes, start, end) => {
        sizes.push(end - start);
        if (sizes.length === 3) resolve();
      },
      closed: () => {},
    }),
  );
  client.start(ignoring);
  client.send(1, Buffer.from("before"));
  client.beginFrame(2).u32(1);
  const taken = new Promise<void>((resolve) => client.endFrameWith(new Uint8Array(5_000_000), resolve));
  client.send(3, Buffer.from("behind"));
  await Promise.all([taken, arrived]);
  assert.deepEqual(sizes, [6, 5_000_004, 6]);
  client.close();
});

test("close sends what has gathered; both ends end without an error", async () => {
  const [client, server] = await pair();
  const atClient = recording(client);
  const atServer = recording(server);
  client.send(1, Buffer.from("last words"));
  client.close();
  client.send(1, Buffer.from("too late, and harmless"));
  assert.equal(await atServer.ended, undefined);
  assert.equal(await atClient.ended, undefined);
  assert.deepEqual(atServer.frames, ["1 last words"]);
});

test("an end in the middle of a frame is an error", async () => {
  const [client, server] = await pair();
  const atServer = recording(server);
  client.beginFrame(1);
  client.endFrameWith(new Uint8Array(0), () => {});
  client.close();
  assert.equal(await atServer.ended, undefined);

  const opened = await Promise.all([accepted(), dialWire(address, { identity, secret })]);
  const cut = recording(opened[0]);
  opened[1].wire.socket.end(Buffer.from([200, 0, 0, 0, 1, 2, 3]));
  assert.ok((await cut.ended) instanceof ConnectionError);
});

test("a frame that its handler finds malformed closes this connection and no other", async () => {
  const [bad, badServer] = await pair();
  const [good, goodServer] = await pair();
  const ended = new Promise<Error | undefined>((resolve) =>
    badServer.start({
      frame: () => {
        throw new ProtocolError("an unknown message");
      },
      closed: resolve,
    }),
  );
  bad.start(ignoring);
  const atGood = recording(goodServer);
  bad.send(1, Buffer.from("?"));
  assert.match(String(await ended), /an unknown message/);
  good.send(1, Buffer.from("still here"));
  assert.deepEqual(await atGood.count(1), ["1 still here"]);
  good.close();
});

test("a peer that is refused is heard no more, and has gone when it has closed its own end", async () => {
  const [client, server] = await pair();
  client.keepOpen();
  const atClient = recording(client);
  const frames: number[] = [];
  let hasClosed = false;
  const closed = new Promise<Error | undefined>((resolve) => {
    const refused = (error: Error | undefined) => {
      assert.match(String(error), /an unknown message/);
      assert.equal(server.isOpen, false);
    };
    server.start({
      frame: (type) => {
        frames.push(type);
        throw new ProtocolError("an unknown message");
      },
      refused,
      closed: (error) => {
        hasClosed = true;
        resolve(error);
      },
    });
  });
  client.send(1, Buffer.from("?"));
  assert.equal(await atClient.ended, undefined);
  assert.equal(client.isOpen, false);
  client.send(2, Buffer.from("goes nowhere"));
  const [other, otherServer] = await pair(); // turns of the event loop, in which more could have come
  other.start(ignoring);
  otherServer.start(ignoring);
  assert.equal(hasClosed, false);
  client.close();
  assert.match(String(await closed), /an unknown message/);
  assert.deepEqual(frames, [1]);
  other.close();
});

test("an end that is kept open stays so when its own side finds something wrong, until it is closed", async () => {
  const [client, server] = await pair();
  client.keepOpen();
  const ended = new Promise<Error | undefined>((resolve) =>
    client.start({
      frame: () => {
        throw new ProtocolError("an unknown message");
      },
      closed: resolve,
    }),
  );
  let hasClosed = false;
  const atServer = new Promise<void>((resolve) =>
    server.start({
      frame: () => {},
      closed: () => {
        hasClosed = true;
        resolve();
      },
    }),
  );
  server.send(1, Buffer.from("?"));
  assert.match(String(await ended), /an unknown message/);
  const [other, otherServer] = await pair();
  other.start(ignoring);
  otherServer.start(ignoring);
  assert.equal(hasClosed, false);
  client.close();
  await atServer;
  other.close();
});

test("a forbidden length closes the connection", async () => {
  const opened = await Promise.all([accepted(), dialWire(address, { identity, secret })]);
  const atServer = recording(opened[0]);
  opened[1].wire.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
  assert.ok((await atServer.ended) instanceof ProtocolError);
});

test("any other exception of a handler is a bug of ours, and is not swallowed", async () => {
  const opened = await Promise.all([accepted(), dialWire(address, { identity, secret })]);
  const client = new Connection(opened[1]);
  const ended = new Promise<Error | undefined>((resolve) =>
    client.start({
      frame: () => {
        throw new RangeError("a bug");
      },
      closed: resolve,
    }),
  );
  await Promise.resolve();
  assert.throws(() => opened[1].wire.receive(Uint8Array.of(1, 0, 0, 0, 9)), RangeError);
  assert.ok((await ended) instanceof RangeError);
});

test("a peer that does not read is noticed, first by its queue, then by the limit", async () => {
  const [client, server] = await pair();
  const atClient = recording(client);
  const chunk = new Uint8Array(64 * 1024 * 1024); // sent again and again from where it lies
  for (let sent = 0; sent <= MAX_SEND_QUEUE_BYTES; sent += chunk.length) {
    client.beginFrame(1);
    client.endFrameWith(chunk, () => {});
    assert.ok(client.queuedBytes > 0);
  }
  assert.match(String(await atClient.ended), /does not read/);
  server.destroy();
});

test("what follows another connection leaves after what was sent there before, though the peer there does not read", async () => {
  const [leader, leaderPeer] = await pair();
  const [follower, followerPeer] = await pair();
  follower.follow(leader);
  const words: string[] = [];
  const arrived = new Promise<void>((resolve) => {
    followerPeer.start({ frame: (type) => words.push(`ref ${type}`) === 2 && resolve(), closed: () => {} });
  });
  for (let i = 0; i < 64; i++) leader.send(1, Buffer.alloc(64 * 1024)); // more than the kernel takes
  follower.send(1, Buffer.alloc(4 * 1024)); // more than waits for the end of a turn
  leader.send(2, Buffer.alloc(1));
  follower.send(2, Buffer.alloc(1));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(words, []);
  let read = 0;
  leaderPeer.start({ frame: () => void read++, closed: () => {} });
  await arrived;
  assert.deepEqual(words, ["ref 1", "ref 2"]);
  assert.ok(read > 0);
  leader.close();
  follower.close();
});

test("a frame that follows pushes out what was sent before it in the same turn", async () => {
  const opened = await Promise.all([accepted(), dialWire(address, { identity, secret })]);
  const leader = new Connection(opened[1]);
  const [follower] = await pair();
  follower.follow(leader);
  leader.send(1, Buffer.alloc(1));
  assert.equal(leader.queuedBytes > 0, true);
  follower.send(1, Buffer.alloc(4 * 1024));
  assert.equal(leader.queuedBytes, 0);
  leader.close();
  follower.close();
});

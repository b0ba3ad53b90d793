// Who dials gets an authenticated connection or the one error that names the obstacle; strangers are shown out.
// Method: real sockets; bad peers are bare sockets that write bytes by hand.
import assert from "node:assert/strict";
import { fork, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { MAX_UNAUTHENTICATED_CONNECTIONS } from "../base/limits.js";
import {
  AuthenticationError,
  ConnectionError,
  InvalidOptionError,
  ProtocolError,
  VersionMismatchError,
} from "../errors.js";
import { encodePreamble } from "../protocol/preamble.js";
import { PROTOCOL_VERSION } from "../protocol/version.js";
import { Acceptor, type AcceptorOptions } from "./acceptor.js";
import { type Address, formatAddress, parseAddress } from "./address.js";
import type { Connection } from "./connection.js";
import { dial } from "./dial.js";
import { listen } from "./listener.js";
import { sendSocket } from "./pass-socket.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));
const secret = Buffer.from("0123456789abcdef");
const driver = { role: "driver", nodeId: "n1", processId: "0123456789ab" } as const;
const raylet = { role: "raylet", nodeId: "n1", processId: "00000000000f", clusterId: "c1" } as const;
const HOST = "127.0.0.1";

/** A listening node that echoes frames; gives its address and its log. */
async function node(where: Address, options: Partial<AcceptorOptions> = {}) {
  const logged: string[] = [];
  const accept = (connection: Connection) =>
    connection.start({
      frame: (type, bytes, start, end) => connection.send(type, bytes.subarray(start, end)),
      closed: () => {},
    });
  const acceptor = new Acceptor({ identity: raylet, secret, accept, log: (line) => logged.push(line), ...options });
  const listener = await listen(where, acceptor);
  after(() => {
    acceptor.close();
    listener.close();
  });
  return { address: listener.address, acceptor, logged, listener };
}

/** One frame there and back. */
function echo(connection: Connection, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    connection.start({
      frame: (type, bytes, start, end) => {
        resolve(`${type} ${Buffer.from(bytes.subarray(start, end)).toString()}`);
        connection.close();
      },
      closed: reject,
    });
    connection.send(5, Buffer.from(text));
  });
}

/** What a bare socket hears until it is closed, and after how many milliseconds that was. */
function conversation(address: Address, say: (socket: Socket) => void): Promise<{ heard: Buffer; ms: number }> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const heard: Buffer[] = [];
    const socket = "unixPath" in address ? connect(address.unixPath) : connect(address.port, address.host);
    socket.on("connect", () => say(socket));
    socket.on("data", (chunk) => heard.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => resolve({ heard: Buffer.concat(heard), ms: performance.now() - startedAt }));
  });
}

/** A server that is not a node of ours, on a free port. */
async function stranger(server: Server): Promise<Address> {
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  after(() => server.close());
  return { host: HOST, port: (server.address() as { port: number }).port };
}

const dialled = (address: Address, more = {}) => dial(address, { identity: driver, secret, ...more });

test("a Unix and a TCP listener let in who knows the secret; both ends know each other", async () => {
  for (const where of [{ unixPath: join(directory, "echo.sock") }, { host: HOST, port: 0 }]) {
    const { address, acceptor } = await node(where);
    const connection = await dialled(address, { expect: { clusterId: "c1", role: "raylet" } });
    assert.deepEqual(connection.peer, raylet);
    assert.equal(await echo(connection, "hello"), "5 hello");
    assert.equal(acceptor.strangers, 0);
  }
});

test("the socket's file is for its owner only, and gone after close", async () => {
  const path = join(directory, "private", "s.sock");
  const { listener } = await node({ unixPath: path });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(join(directory, "private")).mode & 0o777, 0o700);
  listener.close();
  assert.ok(!existsSync(path));
});

test("without the cluster's secret: AuthenticationError for the client, one log line for the node", async () => {
  const { address, logged, acceptor } = await node({ host: HOST, port: 0 });
  for (let i = 0; i < 3; i++) {
    await assert.rejects(dialled(address, { secret: Buffer.from("some other secret") }), (error) => {
      assert.ok(error instanceof AuthenticationError);
      assert.ok(error.message.includes(formatAddress(address)));
      return true;
    });
  }
  assert.equal(logged.length, 1);
  assert.match(logged[0] ?? "", /^refused a connection from 127\.0\.0\.1: .*secret$/);
  assert.equal(acceptor.strangers, 0);
});

test("nobody there: ConnectionError with address, cause and time", async () => {
  const expected = (error: unknown, code: string) => {
    assert.ok(error instanceof ConnectionError);
    assert.match(error.message, new RegExp(`^cannot connect to .*: ${code}.* \\(after \\d+ ms\\)$`));
    return true;
  };
  await assert.rejects(dialled({ host: HOST, port: 1 }), (error) => expected(error, "ECONNREFUSED"));
  await assert.rejects(dialled({ unixPath: join(directory, "none") }), (error) => expected(error, "ENOENT"));
  const silent = await stranger(createServer());
  await assert.rejects(dialled(silent, { timeoutMs: 100 }), (error) => expected(error, "no answer within 100 ms"));
  const rude = await stranger(createServer((socket) => socket.destroy()));
  await assert.rejects(dialled(rude), ConnectionError);
});

test("somebody else there: ProtocolError, VersionMismatchError, or ConnectionError for the wrong node", async () => {
  const http = createHttpServer();
  await assert.rejects(dialled(await stranger(http)), ProtocolError);
  const newer = createServer((socket) => socket.end(withVersion(encodePreamble(), PROTOCOL_VERSION + 1)));
  await assert.rejects(dialled(await stranger(newer)), VersionMismatchError);
  const { address } = await node({ host: HOST, port: 0 });
  await assert.rejects(dialled(address, { expect: { nodeId: "n2" } }), /nodeId is n1, not n2/);
});

function withVersion(preamble: Uint8Array, version: number): Uint8Array {
  preamble[8] = version;
  return preamble;
}

test("a client of another version hears ours", async () => {
  const { address } = await node({ host: HOST, port: 0 });
  const { heard } = await conversation(address, (socket) =>
    socket.write(withVersion(encodePreamble(), PROTOCOL_VERSION + 1)),
  );
  assert.deepEqual(new Uint8Array(heard), encodePreamble());
});

test("HTTP gets one line; random bytes and huge lengths are closed at once; others do not notice", async () => {
  const { address, acceptor } = await node({ host: HOST, port: 0 });
  const good = await dialled(address);
  const http = await conversation(address, (socket) => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  assert.match(http.heard.toString(), /^HTTP\/1\.1 400 .*this is a mobula port, not HTTP\n$/s);
  const bytewise = await conversation(address, (socket) => {
    for (const letter of "POST") socket.write(letter);
  });
  assert.match(bytewise.heard.toString(), /^HTTP\/1\.1 400/);

  const random = await conversation(address, (socket) => socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1])));
  assert.equal(random.heard.length, 0);
  const huge = await conversation(address, (socket) => {
    socket.write(encodePreamble());
    socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 2]));
  });
  const flood = await conversation(address, (socket) =>
    socket.write(Buffer.concat([encodePreamble(), Buffer.alloc(1e6, 1)])),
  );
  for (const { ms } of [http, bytewise, random, huge, flood]) assert.ok(ms < 1_000, `closed after ${ms} ms`);
  assert.equal(await echo(good, "unharmed"), "5 unharmed");
  assert.equal(acceptor.strangers, 0);
});

test("one byte now and then does not keep a connection beyond its 5 seconds", async () => {
  const { address } = await node({ host: HOST, port: 0 });
  const preamble = encodePreamble();
  let sent = 0;
  const { ms } = await conversation(address, (socket) => {
    const timer = setInterval(() => socket.write(preamble.subarray(sent, ++sent)), 500);
    socket.on("close", () => clearInterval(timer));
  });
  assert.ok(ms > 4_500 && ms < 7_000, `closed after ${ms} ms`);
});

test("strangers beyond the limit are refused, and the next one is welcome when they have gone", async () => {
  const { address, acceptor, logged } = await node({ unixPath: join(directory, "full.sock") });
  const open: Socket[] = [];
  const path = "unixPath" in address ? address.unixPath : "";
  for (let i = 0; i < MAX_UNAUTHENTICATED_CONNECTIONS; i++) {
    const socket = connect(path).on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    open.push(socket);
  }
  await assert.rejects(dialled(address), ConnectionError);
  assert.equal(acceptor.strangers, MAX_UNAUTHENTICATED_CONNECTIONS);
  assert.match(logged[0] ?? "", /too many connections/);
  for (const socket of open) socket.destroy();
  while (acceptor.strangers > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(await echo(await dialled(address), "in"), "5 in");
});

test("a socket file left by a killed process is replaced; one in use is not; one too long is refused", async () => {
  const path = join(directory, "stale.sock");
  const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.send("ready"))`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  await new Promise((resolve) => child.once("message", resolve));
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  assert.ok(existsSync(path));
  await node({ unixPath: path });
  await assert.rejects(node({ unixPath: path }), /EADDRINUSE/);
  assert.equal(await echo(await dialled({ unixPath: path }), "mine"), "5 mine");
  await assert.rejects(node({ unixPath: join(directory, "x".repeat(108)) }), InvalidOptionError);
});

test("a connection for a worker is passed to its process, which does the handshake", async () => {
  const worker = "0123456789cd";
  const child = fork(new URL("../../test/fixtures/socket-taker.js", import.meta.url), [worker], {
    env: { ...process.env, TEST_SECRET: secret.toString() },
  });
  after(() => child.kill());
  await new Promise((resolve) => child.once("message", resolve));
  const { address, acceptor } = await node(
    { host: HOST, port: 0 },
    {
      route: (target, socket, bytes) => {
        if (target !== worker) return false;
        sendSocket(child, socket, bytes);
        return true;
      },
    },
  );
  const connections = await Promise.all(Array.from({ length: 20 }, () => dialled(address, { target: worker })));
  assert.deepEqual(connections[0]?.peer, { role: "worker", nodeId: "n1", processId: worker });
  assert.deepEqual(new Set(await Promise.all(connections.map((c, i) => echo(c, `${i}`)))).size, 20);
  await assert.rejects(
    dialled(address, { target: worker, secret: Buffer.from("another secret") }),
    AuthenticationError,
  );
  await assert.rejects(dialled(address, { target: "ffffffffffff" }), /process ffffffffffff, or its node, closed/);

  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  await assert.rejects(dialled(address, { target: worker }), ConnectionError);
  assert.equal(acceptor.strangers, 0);
});

test("addresses are written and read in one way", () => {
  for (const text of ["unix:/tmp/a b.sock", "127.0.0.1:6379", "[::1]:80", "host.example:65535"]) {
    assert.equal(formatAddress(parseAddress(text)), text);
  }
  for (const text of ["", "host", "host:0", "host:65536", ":80", "a:b:1", "unix:relative", "host:12x"]) {
    assert.throws(() => parseAddress(text), InvalidOptionError, text);
  }
});

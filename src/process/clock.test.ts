// A pause of this process is not taken for anybody's silence, and nothing is late that could have been read before.
// Method: a clock that the test sets; a timer that is due, and a socket that has something to read, after synchronous code.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { after, test } from "node:test";
import { AwakeClock, afterReading, nowMs } from "./clock.js";

test("of a pause no more than one step counts", () => {
  let now = 1_000;
  const clock = new AwakeClock(100, () => now);
  const looks = [50, 100, 60_000, 10].map((passedMs) => {
    now += passedMs;
    return clock.look();
  });
  assert.deepEqual(looks, [1_050, 1_150, 1_250, 1_260]);
});

test("what arrived in synchronous code is read before a timer that became due there has its say", async () => {
  const server = createServer((socket) => socket.end("early")).listen(0, "127.0.0.1");
  after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  const lines: string[] = [];
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.on("data", (bytes) => setImmediate(() => lines.push(bytes.toString())));
  const told = new Promise<void>((resolve) => {
    setTimeout(() => {
      lines.push("due");
      afterReading(() => {
        lines.push("said");
        resolve();
      });
    }, 1);
  });
  await new Promise((resolve) => setImmediate(resolve)); // the timers come next
  for (const end = nowMs() + 50; nowMs() < end; );
  await told;
  assert.deepEqual(lines, ["due", "early", "said"]);
});

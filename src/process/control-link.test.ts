// Words of somebody's end are heard after what others had sent before, and before what comes behind them.
// Method: a link and its raylet over a real Unix socket, authenticated by the real handshake; the test is the raylet.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { actor, failure, lease, process } from "../../test/support/names.js";
import { GCS } from "../base/ids.js";
import { Acceptor } from "../io/acceptor.js";
import type { Connection } from "../io/connection.js";
import { dial } from "../io/dial.js";
import { listen } from "../io/listener.js";
import { writeEnvelope } from "../protocol/codec.js";
import type { Message } from "../protocol/messages.js";
import { ControlLink } from "./control-link.js";
import { FRAME } from "./frame-types.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
const address = { unixPath: join(directory, "s.sock") };
const secret = Buffer.from("0123456789abcdef");
const self = process("0123456789ab", "01");
const waiting: ((connection: Connection) => void)[] = [];
const acceptor = new Acceptor({
  identity: { role: "raylet", nodeId: "01", processId: "01" },
  secret,
  accept: (connection) => waiting.shift()?.(connection),
});
const listener = await listen(address, acceptor);
after(() => {
  listener.close();
  rmSync(directory, { recursive: true });
});

const HOLDS_ADDED: Message = { type: "holdsAdded", sequence: 1 };
const LEASE_LOST: Message = {
  type: "leaseLost",
  leaseId: lease("a"),
  reason: failure("WORKER_CRASHED"),
  bystander: false,
};
const ACTOR_DIED: Message = {
  type: "actorState",
  actorId: actor("a"),
  state: "dead",
  incarnation: 0,
  worker: undefined,
  address: undefined,
  reason: failure("ACTOR_DIED"),
  error: Buffer.from("encoded"),
};

/** A link that has been sent these, in one piece; `heard` gets a line for each message, at the end one for the close. */
async function linked(messages: readonly Message[], heard: (line: string, link: ControlLink) => void) {
  const accepted = new Promise<Connection>((resolve) => waiting.push(resolve));
  const identity = { role: "driver", ...self } as const;
  const connection = await dial(address, { identity, secret });
  const raylet = await accepted;
  raylet.start({ frame: () => {}, closed: () => {} });
  for (const message of messages) {
    writeEnvelope(raylet.beginFrame(FRAME.envelope), { to: self, from: GCS, message });
    raylet.endFrame();
  }
  return new Promise<void>((resolve) => {
    const link: ControlLink = new ControlLink(connection, self, "driver", {
      message: (message) => {
        const rest = "error" in message ? ` ${Buffer.from(message.error ?? []).toString()}` : "";
        heard(`${message.type}${rest}`, link);
      },
      closed: () => {
        heard("closed", link);
        resolve();
      },
    });
    raylet.close();
  });
}

test("words of an end wait for the end of the turn, and keep their order with what comes behind them", async () => {
  const lines: string[] = [];
  await linked([HOLDS_ADDED, LEASE_LOST, ACTOR_DIED, HOLDS_ADDED], (line) => {
    lines.push(line);
    // What is read from other connections in this turn comes before the next phase of the event loop, which this is.
    if (line === "holdsAdded" && lines.length === 1) setImmediate(() => lines.push("end of the turn"));
  });
  assert.deepEqual(lines, ["holdsAdded", "end of the turn", "leaseLost", "actorState encoded", "holdsAdded", "closed"]);
});

test("after its end nothing is heard that had come before", async () => {
  const lines: string[] = [];
  await linked([LEASE_LOST, ACTOR_DIED, HOLDS_ADDED], (line, link) => {
    lines.push(line);
    if (line === "leaseLost") link.close();
  });
  assert.deepEqual(lines, ["leaseLost", "closed"]);
});

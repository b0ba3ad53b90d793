// The documents say what the code says: the message table lists exactly the messages, the invariants exist, names are real.
// Method: read the tables and compare them with what the code exports.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isIdempotent } from "../sim/idempotence.js";
import { checkOptions } from "../src/api/options.js";
import * as limits from "../src/base/limits.js";
import { STEP_NAMES } from "../src/core/journey.js";
import * as errors from "../src/errors.js";
import * as transferFrames from "../src/io/transfer-frames.js";
import { FRAME } from "../src/process/frame-types.js";
import { MESSAGES, type MessageType } from "../src/protocol/messages.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url)); // this file runs as dist/test/docs.test.js

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The cells of every table row of a document, without heads. */
function rows(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("| ") || line.startsWith("|`"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const architecture = read("docs/ARCHITECTURE.md");
const [controlPlane = "", dataPlane = ""] = architecture.split("Beside these, the data plane has frames of its own");
const messageRows = rows(controlPlane).filter(isOfMessage);

function isOfMessage(cells: readonly string[]): boolean {
  return cells.length === 5 && cells[0]?.startsWith("`") === true;
}

test("ARCHITECTURE.md lists exactly the messages of the code, in order, with their senders and receivers", () => {
  const listed = messageRows.map(([name, from, to]) => `${name} ${from} → ${to}`);
  const coded = Object.entries(MESSAGES).map(
    ([name, { from, to }]) => `\`${name}\` ${from.join(", ")} → ${to.join(", ")}`,
  );
  assert.deepEqual(listed, coded);
});

test("ARCHITECTURE.md calls a message idempotent exactly when the simulator repeats it", () => {
  for (const [name = "", , , why = "", limit = ""] of messageRows) {
    const type = name.slice(1, -1) as MessageType;
    assert.equal(why.startsWith("once:"), !isIdempotent(type), `${type}: ${why}`);
    assert.ok(why !== "" && limit !== "", `${type} has every cell`);
  }
});

test("ARCHITECTURE.md lists the frames of the data plane, each with every cell", () => {
  const { envelope: _, ...frames } = FRAME; // it carries the messages
  const frameRows = rows(dataPlane).filter(isOfMessage);
  const listed = frameRows.flatMap(([names = ""]) => names.split(", "));
  const coded = [...Object.keys(frames), ...Object.keys(transferFrames)].map((name) => `\`${name}\``);
  assert.deepEqual(listed.sort(), coded.sort());
  for (const cells of frameRows) assert.ok(!cells.includes(""), cells.join());
});

test("limits that documents name exist", () => {
  for (const file of readdirSync(join(ROOT, "docs"))) {
    for (const [, name = ""] of read(`docs/${file}`).matchAll(/`((?:MAX|MIN)_[A-Z_]+|HANDSHAKE_TIMEOUT_MS)`/g)) {
      assert.ok(name in limits, `docs/${file} names ${name}`);
    }
  }
});

test("JOURNEY.md has a heading for each step of the lecture, in order", () => {
  const headings = [...read("docs/JOURNEY.md").matchAll(/^### \d+ · `(\w+)`$/gm)].map(([, step]) => step);
  assert.deepEqual(headings, STEP_NAMES);
});

test("every invariant that the code cites is in INVARIANTS.md, and every file that INVARIANTS.md names exists", () => {
  const text = read("docs/INVARIANTS.md");
  const described = new Set([...text.matchAll(/^## (I-\d\d)/gm)].map(([, id]) => id));
  for (const folder of ["src", "sim", "test"]) {
    for (const path of readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })) {
      if (!path.endsWith(".ts")) continue;
      for (const [id] of read(`${folder}/${path}`).matchAll(/\bI-\d\d\b/g)) {
        assert.ok(described.has(id), `${folder}/${path} cites ${id}`);
      }
    }
  }
  for (const [, path = ""] of text.matchAll(/`((?:src|sim|test)\/[\w./-]+)`/g)) {
    assert.ok(existsSync(join(ROOT, path)), `INVARIANTS.md names ${path}`);
  }
});

test("API.md names every error class, and no other", () => {
  const names = Object.entries(errors)
    .filter(([, value]) => typeof value === "function" && "code" in value)
    .map(([name]) => name);
  const section = read("docs/API.md").split("## Errors")[1]?.split("\n## ")[0] ?? "";
  const listed = new Set([...section.matchAll(/`(\w+Error)`/g)].map(([, name]) => name ?? ""));
  assert.deepEqual([...listed].sort(), names.filter((name) => name.endsWith("Error")).sort());
});

/** The options of the contract, whether they are there or planned. */
const CONTRACT = {
  task: {
    row: "functions",
    options:
      "name numCpus numGpus memory resources numReturns maxRetries retryExceptions timeoutMs maxBuffered schedulingStrategy runtimeEnv signal",
  },
  actor: {
    row: "actor classes",
    options:
      "name numCpus numGpus memory resources maxBuffered schedulingStrategy runtimeEnv signal namespace lifetime getIfExists maxConcurrency concurrencyGroups maxRestarts maxTaskRetries maxPendingCalls",
  },
  method: { row: "methods", options: "numReturns name concurrencyGroup timeoutMs" },
  init: {
    row: "`init`",
    options:
      "address numCpus numGpus memory resources labels objectStoreMemory namespace logToDriver ignoreReinitError runtimeEnv spillDirectory authToken dashboard",
  },
} as const;

test("API.md lists each option of the contract that is refused so far as not there yet, and none that is accepted", () => {
  const [there = "", notYet = ""] = read("docs/API.md").split("## Not there yet");
  for (const [kind, { row, options }] of Object.entries(CONTRACT)) {
    const isAccepted = (name: string) => {
      try {
        checkOptions(kind as keyof typeof CONTRACT, { [name]: undefined });
        return true;
      } catch {
        return false;
      }
    };
    const names = options.split(" ");
    const [, listed = ""] = new RegExp(`\\| the options? (.*) of ${row} \\|`).exec(notYet) ?? [];
    const planned = [...listed.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name);
    assert.deepEqual(planned, names.filter((name) => !isAccepted(name)).sort(), kind);
    for (const name of names.filter(isAccepted)) assert.ok(there.includes(`\`${name}\``), `${name} is described`);
  }
});

test("links between documents lead to files", () => {
  const documents = ["README.md", ...readdirSync(join(ROOT, "docs")).map((file) => `docs/${file}`)];
  for (const document of documents) {
    for (const [, target = ""] of read(document).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(target)) continue;
      assert.ok(existsSync(join(ROOT, document, "..", target)), `${document} links to ${target}`);
    }
  }
});

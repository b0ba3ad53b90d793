// Modules with state of their own travel by reference when the user says so: what they export is named, each worker
// imports its own. The program's entry never runs again on a worker.
// Method: projects whose entry captures its own cases; another process without their loader revives and calls them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, rename } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type CapturedCase, compiled, reviveFixture, type Shipped, TSX } from "./support/cases.js";
import { makeProject, type Project } from "./support/project.js";

const run = promisify(execFile);
const REPOSITORY = createRequire(import.meta.url)
  .resolve("../../../package.json")
  .replace(/package\.json$/, "");
const CAPTURE = `const { captureCases } = await import(${JSON.stringify(pathToFileURL(compiled("support/capture-cases.js")).href)});`;

/** Run a project's entry, which captures its cases. */
async function captureIn(project: Project, entry: string, nodeArgs: readonly string[] = []): Promise<Shipped> {
  const output = project.path("captured.json");
  const options = { cwd: nodeArgs.length > 0 ? REPOSITORY : project.directory };
  await run(process.execPath, [...nodeArgs, project.path(entry), output], options);
  return { captured: JSON.parse(await readFile(output, "utf8")) as CapturedCase[] };
}

async function resultsOf(shipped: Shipped): Promise<Record<string, string>> {
  const results = await reviveFixture(shipped);
  return Object.fromEntries(results.map(({ name, result, error }) => [name, result ?? error ?? "nothing"]));
}

const DATABASE = `
  let queries = 0;
  const connection = { socket: new Promise(() => {}), pid: process.pid }; // cannot be copied
  export function query() { connection.pid === process.pid || fail(); return ++queries }
  export class Row { constructor(n) { this.n = n } next() { return new Row(this.n + 1) } }
  export const pool = { connection, size: () => queries };
  export default function (n) { return [connection.pid === process.pid, n] }
  export { connection as hidden, Row as Line };
  const secret = () => connection;
  export const reveal = () => secret;
`;

const MAIN = `
  import inside, { query, Row, pool, reveal } from "./database.js";
  import * as database from "./database.js";
  import { plus } from "./plain.js";
  ${CAPTURE}
  const row = new Row(1);
  const found = reveal();
  export const cases = {
    "a function as root": { fn: query, expect: 1 },
    "state is shared by all functions of the process": { fn: () => [query(), query(), pool.size()], expect: [2, 3, 3] },
    "a default export": { fn: () => inside(4), expect: [true, 4] },
    "a class and its instances": { fn: () => [row instanceof Row, row.next() instanceof Row, new Row(5).n], expect: [true, true, 5] },
    "a class that extends one": { fn: (() => { class Wide extends Row { wide() { return super.next().n } } return () => new Wide(7).wide() })(), expect: 8 },
    "a namespace": { fn: () => [typeof database.query, database.pool.connection.pid === process.pid, database.Line === Row], expect: ["function", true, true] },
    "other modules travel by value": { fn: () => plus(1), expect: 43 },
    "what the module keeps to itself": { fn: function asks() { return found() }, expect: 0 },
  };
  captureCases({ cases, byReference: [new URL("./database.js", import.meta.url).href] }, process.argv[2]);`;

const FILES = {
  "package.json": '{ "type": "module" }',
  "database.js": DATABASE,
  "plain.js": "const base = 42; export const plus = (n) => base + n;",
  "main.js": MAIN,
};

function assertAsExpected({ captured }: Shipped, results: Record<string, string>): void {
  const wanted = captured.filter(({ error }) => error === undefined).map(({ name, expect }) => [name, expect]);
  assert.deepEqual(
    wanted.map(([name = ""]) => [name, results[name]]),
    wanted,
  );
}

test("exports of an ES module travel by name", async () => {
  await using project = await makeProject(FILES);
  const shipped = await captureIn(project, "main.js");
  assertAsExpected(shipped, await resultsOf(shipped));
  const refused = shipped.captured.filter(({ error }) => error !== undefined);
  assert.deepEqual(
    refused.map(({ name }) => name),
    ["what the module keeps to itself"],
  );
  const url = project.url("database.js");
  assert.match(
    refused[0]?.error ?? "",
    /cannot ship asks to a worker: asks → variable "found" is private to the module /,
  );
  assert.ok(refused[0]?.error?.includes(`${url}, which travels by reference (hint: export it from the module`));
});

test("exports of a CommonJS module travel by name", async () => {
  const main = `
    const { query, Row, pool } = require("./database.cjs");
    const database = require("./database.cjs");
    (async () => {
      ${CAPTURE}
      const cases = {
        "a function as root": { fn: query, expect: 1 },
        "shared state": { fn: () => [query(), database.query(), pool.size()], expect: [2, 3, 3] },
        "a class": { fn: () => new Row(1).next() instanceof Row, expect: true },
      };
      captureCases({ cases, byReference: [require("node:url").pathToFileURL(__dirname + "/database.cjs").href] }, process.argv[2]);
    })();`;
  const database = `
    let queries = 0;
    const connection = { socket: new Promise(() => {}) };
    exports.query = () => ++queries;
    exports.Row = class Row { constructor(n) { this.n = n } next() { return new Row(this.n + 1) } };
    exports.pool = { connection, size: () => queries };`;
  await using project = await makeProject({ "main.cjs": main, "database.cjs": database });
  const shipped = await captureIn(project, "main.cjs");
  assertAsExpected(shipped, await resultsOf(shipped));
});

test("TypeScript modules: the worker loads what loaded them in the driver", async () => {
  await using project = await makeProject({
    ...FILES,
    "database.ts": DATABASE.replace("function query() {", "function query(): number {"),
    "database.js": "throw new Error('not this one')",
    "main.ts": MAIN.replaceAll("./database.js", "./database.ts"),
  });
  const shipped = await captureIn(project, "main.ts", TSX);
  assertAsExpected(shipped, await resultsOf(shipped));
});

test("67 the program's entry is never run again on a worker", async () => {
  const main = `
    import { where, viaModule } from "./module.js";
    ${CAPTURE}
    export const secret = 1;
    console.log("the program runs");
    if (process.argv[2] !== undefined) captureCases({
      cases: {
        "a function of the entry travels by value": { fn: function own() { return secret + 1 }, expect: 2 },
        "import() of the entry": { fn: async () => (await import("./main.js")).secret, expect: 0 },
        "import() of a module that imports the entry": { fn: async () => (await import("./module.js")).where, expect: 0 },
        "a module by reference that imports the entry": { fn: () => viaModule(), expect: 0 },
        "require() of the entry": { fn: (await import("./requires.cjs")).default.requires, expect: 0 },
      },
      byReference: [new URL("./module.js", import.meta.url).href],
    }, process.argv[2]);`;
  await using project = await makeProject({
    "package.json": '{ "type": "module" }',
    "main.js": main,
    "module.js":
      'import * as main from "./main.js"; export const where = import.meta.url; export const viaModule = () => main.secret;',
    "requires.cjs": 'exports.requires = () => require("./main.js").secret;',
  });
  const shipped = await captureIn(project, "main.js");
  const results = await resultsOf(shipped); // fails if the reviving process prints what the program does
  const { "a function of the entry travels by value": own, ...refused } = results;
  assert.equal(own, "2");
  assert.equal(Object.keys(refused).length, 4);
  for (const [name, error] of Object.entries(refused)) {
    assert.ok(error.includes(`the program's entry module ${project.url("main.js")} is not imported on a worker`), name);
    assert.match(error, /SerializationError.*\(hint: move what tasks need into a module of its own\)/s, name);
  }
});

test("a module that is not on the worker's machine is named", async () => {
  await using project = await makeProject(FILES);
  const shipped = await captureIn(project, "main.js");
  const url = project.url("database.js");
  await rename(project.path("database.js"), project.path("gone.js"));
  const results = await resultsOf(shipped);
  assert.match(results["a function as root"] ?? "", /function query needs the module file:.*, which travels by ref/);
  assert.ok(results["a function as root"]?.includes(url));
  assert.match(results["a function as root"] ?? "", /\(hint: put the program's files here under the same path/);
});

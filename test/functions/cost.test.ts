// What a capture must not do: load the parser or the inspector for a function that needs neither, or leave the
// debugger enabled, which would make every `await` of the program slower.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { Session } from "node:inspector";
import { test } from "node:test";
import { capture } from "../../src/functions/index.js";

const INDEX = new URL("../../src/functions/index.js", import.meta.url).href;

/** Runs a program that may capture, and reports what it loaded. */
function loadedBy(program: string): { inspector: boolean; acorn: boolean } {
  const script = `
    import { createRequire } from "node:module";
    const { capture } = await import(${JSON.stringify(INDEX)});
    const hooks = { describe: () => undefined, warn: () => undefined };
    const cache = createRequire(${JSON.stringify(INDEX)}).cache;
    ${program};
    console.log(JSON.stringify({
      inspector: process.moduleLoadList.includes("NativeModule inspector"),
      acorn: Object.keys(cache).some((file) => file.includes("acorn")),
    }));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  return JSON.parse(output) as { inspector: boolean; acorn: boolean };
}

test("importing and capturing arithmetic loads neither inspector nor parser", () => {
  const simple = [
    "(a, b) => a + b",
    "() => {}",
    "async (x) => x * 2",
    "function add(a, b) { return a + b }",
    "(n) => { let s = 0; while (n > 0) { s += n; n--; } return s }",
  ];
  const program = simple.map((text) => `capture(${text}, hooks)`).join(";");
  assert.deepEqual(loadedBy(program), { inspector: false, acorn: false });
});

test("the debugger is disabled after a capture", () => {
  const offset = Math.random();
  const helper = (n: number) => n + offset;
  capture((n: number) => helper(n), { describe: () => undefined, warn: () => undefined });
  const session = new Session();
  session.connect();
  let paused = false;
  session.on("Debugger.paused", () => {
    paused = true;
  });
  // biome-ignore lint: an enabled debugger would tell
  debugger;
  session.disconnect();
  assert.equal(paused, false);
});

test("under --permission only functions with captured variables are refused, with the way out", () => {
  const [major = 0] = process.versions.node.split(".").map(Number);
  const flag = major >= 24 ? "--permission" : "--experimental-permission";
  const script = `
    const { capture } = await import(${JSON.stringify(INDEX)});
    const hooks = { describe: () => undefined, warn: () => undefined };
    capture((a) => a + 1, hooks);
    const captured = Math.random();
    try { capture(() => captured, hooks) } catch (error) { console.log(error.message + " | " + error.hint) }`;
  const args = [flag, "--allow-fs-read=*", "--no-warnings", "--input-type=module", "-e", script];
  const words = execFileSync(process.execPath, args, { encoding: "utf8" });
  assert.match(words, /the inspector, which captures variables, is refused .* \| run Node with --allow-inspector/);
});

test("getters are not called while capturing, and arrive as getters", () => {
  let calls = 0;
  const lazy = {
    get value() {
      calls++;
      return 1;
    },
  };
  capture(() => lazy.value, { describe: () => undefined, warn: () => undefined });
  assert.equal(calls, 0);
});

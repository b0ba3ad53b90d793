// The secret comes from the first source that is named, and from nowhere else; a bad source says how to mend it.
// Method: a home directory of the test's own, set through the environment.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { promisify } from "node:util";
import { AuthenticationError } from "../errors.js";
import { loadSecret } from "./secret.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));
let count = 0;
let home = "";
beforeEach(() => {
  home = join(directory, `${++count}`);
  mkdirSync(home);
  process.env["HOME"] = home;
  delete process.env["MOBULA_AUTH_TOKEN"];
  delete process.env["MOBULA_AUTH_TOKEN_PATH"];
});

const text = (secret: Uint8Array) => Buffer.from(secret).toString();

function refused(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof AuthenticationError);
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /opensesame/);
    return true;
  };
}

test("the first start makes a secret for this user alone; later starts read it", () => {
  const secret = loadSecret();
  assert.match(text(secret), /^[0-9a-f]{64}$/);
  assert.equal(statSync(join(home, ".mobula", "auth_token")).mode & 0o777, 0o600);
  assert.equal(statSync(join(home, ".mobula")).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(join(home, ".mobula")), ["auth_token"]);
  assert.deepEqual(loadSecret(), secret);
});

test("processes that start at once end with one secret", async () => {
  const script = `import(process.argv[1]).then(({ loadSecret }) => console.log(Buffer.from(loadSecret()).toString()))`;
  const module = new URL("./secret.js", import.meta.url).href;
  const run = () =>
    promisify(execFile)(process.execPath, ["-e", script, module], { env: { ...process.env, HOME: home } });
  const outputs = await Promise.all(Array.from({ length: 4 }, run));
  assert.equal(new Set(outputs.map(({ stdout }) => stdout)).size, 1);
});

test("the option, the variable, the named file and the default file, in this order", () => {
  const file = join(home, "token");
  writeFileSync(file, "from the named file\n", { mode: 0o600 });
  process.env["MOBULA_AUTH_TOKEN_PATH"] = file;
  assert.equal(text(loadSecret()), "from the named file");
  process.env["MOBULA_AUTH_TOKEN"] = "from the variable";
  assert.equal(text(loadSecret()), "from the variable");
  assert.equal(text(loadSecret({ token: "from the option itself" })), "from the option itself");
  assert.ok(!readdirSync(home).includes(".mobula"), "no default was made");
});

test("a file that others may read is refused with the command that mends it", () => {
  loadSecret();
  const path = join(home, ".mobula", "auth_token");
  for (const mode of [0o644, 0o640, 0o601]) {
    chmodSync(path, mode);
    assert.throws(() => loadSecret(), refused(new RegExp(`mode 0${mode.toString(8)}.*chmod 600 ${path}$`)));
  }
});

test("a named source that is missing, empty or short is refused; nothing else is tried", () => {
  process.env["MOBULA_AUTH_TOKEN_PATH"] = join(home, "none");
  assert.throws(() => loadSecret(), refused(/MOBULA_AUTH_TOKEN_PATH names.*cannot be read/));
  writeFileSync(join(home, "none"), "", { mode: 0o600 });
  assert.throws(() => loadSecret(), refused(/holds 0 bytes/));
  for (const token of ["", "opensesame"]) {
    process.env["MOBULA_AUTH_TOKEN"] = token;
    assert.throws(() => loadSecret(), refused(/^MOBULA_AUTH_TOKEN holds \d+ bytes; .* at least 16$/));
  }
  assert.throws(() => loadSecret({ token: "opensesame" }), refused(/^authToken holds 10 bytes/));
});

test("a home directory that cannot be written: the error names the ways out", () => {
  process.env["HOME"] = join(home, "file");
  writeFileSync(join(home, "file"), "");
  assert.throws(() => loadSecret(), refused(/set MOBULA_AUTH_TOKEN,/));
});

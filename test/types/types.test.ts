// What the package's types promise to a TypeScript program: mistakes do not compile, and actor classes can be exported.
// Method: small projects that import the package as users do are compiled with `declaration: true`; each line that must
// not compile says so with @ts-expect-error, which is an error itself where the compiler finds none.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url)); // this file runs as dist/test/types/types.test.js
const project = mkdtempSync(join(tmpdir(), "types-"));
after(() => rmSync(project, { recursive: true }));

mkdirSync(join(project, "node_modules/@types"), { recursive: true });
symlinkSync(ROOT, join(project, "node_modules/mobula"));
symlinkSync(join(ROOT, "node_modules/@types/node"), join(project, "node_modules/@types/node"));
writeFileSync(join(project, "package.json"), '{ "type": "module" }');

/** What the compiler has to say about a program of these files, with declarations emitted beside them. */
function compile(files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
  const compilerOptions = {
    ...{ target: "ES2022", module: "NodeNext", strict: true, declaration: true, outDir: "out", rootDir: "." },
    ...{ lib: ["ES2023", "ESNext.Disposable"], types: ["node"], skipLibCheck: true },
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: Object.keys(files) }));
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const { stdout, stderr } = spawnSync(process.execPath, [compiler, "-p", project], { encoding: "utf8" });
  return `${stdout}${stderr}`.trim();
}

const ACTORS = `
import { getActor, remote, type ActorClass, type ActorHandle } from "mobula";
export const Counter = remote(class { #x = 1; get() { return this.#x; } });
export const Named = remote({ numCpus: 1 }, class Named {
  #secret = 1;
  private hidden = 2;
  protected inherited = 3;
  constructor(private start: number, readonly label = "a") {}
  add(by = 1): number { return (this.#secret += by + this.hidden + this.inherited + this.start); }
  async later(value: string): Promise<string> { return value; }
  private own(): void {}
  protected theirs(): void {}
});
export class Declared {
  #x = 1;
  get() { return this.#x; }
}
export const Remote = remote(Declared);
export const handle = Counter.remote();
export const find = () => getActor<typeof Counter>("counter");
export const ofInstance: ActorHandle<Declared> = Remote.remote();
export const ofClass: ActorClass<typeof Declared> = Remote;
`;

const USES = (actors: string) => `
import { get, getActor, type ActorHandle, type ObjectRef } from "mobula";
import { Counter, Declared, find, handle, Named, Remote } from "${actors}";
const one: ObjectRef<number> = Counter.remote().get.remote();
const two: ObjectRef<number> = handle.get.remote();
const three: ObjectRef<number> = (await find()).get.remote();
const four: ObjectRef<number> = (await getActor<typeof Declared>("declared")).get.remote();
const five: ObjectRef<number> = (await getActor<typeof Remote>("declared")).get.remote();
const declared: ActorHandle<Declared> = Remote.remote();
const here: number = Counter.local().get();
const named = Named.remote(1, "b");
const sum: number = await get(named.add.remote(one));
const kept: ObjectRef<string> = named.later.options({ name: "x" }).remote("a");
// @ts-expect-error a constructor's argument of the wrong type
Named.remote("1");
// @ts-expect-error a missing argument
Named.remote();
// @ts-expect-error an argument of the wrong type
named.add.remote("1");
// @ts-expect-error a ref to a value of the wrong type
named.add.remote(kept);
// @ts-expect-error a private method
named.own;
// @ts-expect-error a protected method
named.theirs;
// @ts-expect-error a property is no method
named.label;
// @ts-expect-error the method itself cannot be called
named.add(1);
// @ts-expect-error the result is a number
const text: ObjectRef<string> = named.add.remote(1);
`;

test("actor classes can be exported, with private members, from a project that emits declarations", () => {
  assert.equal(compile({ "actors.ts": ACTORS }), "");
  const declaration = readFileSync(join(project, "out/actors.d.ts"), "utf8");
  assert.match(declaration, /Counter: ActorClass<new \(\) => \{\s*get: \(\) => number;\s*\}>/);
  assert.doesNotMatch(declaration, /secret|hidden|inherited|start[^:]|own|theirs/);
});

test("what programs make of remote functions and actors can be exported too", () => {
  const text = `
import { get, put, remote, wait } from "mobula";
declare const n: number;
export const add = remote((a: number, b = 1) => a + b);
export const pair = remote({ numReturns: 2 }, (): [number, string] => [1, "a"]);
export const later = remote(async (texts: string[]) => new Map(texts.map((text) => [text, 1])));
export const stored = put({ a: 1 });
export const one = add.remote(1);
export const two = pair.remote();
export const none = add.options({ numReturns: 0 }).remote(1);
export const some = pair.options({ numReturns: n }).remote();
export const map = later.remote(["a"]);
export const values = await get([one, map]);
export const waited = (await wait([one, map])).ready;
export const Counter = remote(class { #x = 1; get() { return this.#x; } }).options({ numCpus: 1 });
export const counter = Counter.remote();
export const method = counter.get;
export const called = counter.get.options({ name: "x" }).remote();
export const local = Counter.local();
`;
  assert.equal(compile({ "exported.ts": text }), "");
});

test("handles list public methods with their types: from the source, and from its declarations", () => {
  assert.equal(compile({ "actors.ts": ACTORS, "uses.ts": USES("./actors.js") }), "");
  assert.equal(compile({ "uses.ts": USES("./out/actors.js") }), "");
});

test("abstract classes, classes without a public constructor and unknown options do not compile", () => {
  const text = `
import { remote } from "mobula";
abstract class Abstract { abstract f(): void; }
class Private { private constructor() {} }
// @ts-expect-error
remote(Abstract);
// @ts-expect-error
remote(Private);
// @ts-expect-error
remote(1);
// @ts-expect-error
remote(() => 1).options({ numCpu: 1 });
// @ts-expect-error
remote((a: number, b: number) => a + b).remote("1", 2);
`;
  assert.equal(compile({ "refused.ts": text }), "");
});

test("numReturns: a tuple for a number that the compiler knows, an honest union for one that it does not", () => {
  const text = `
import { get, remote, type ObjectRef, type TaskOptions } from "mobula";
declare const n: number;
declare const options: TaskOptions;
const pair = remote((): [number, string] => [1, "a"]);
const tuple: [ObjectRef<number>, ObjectRef<string>] = pair.options({ numReturns: 2 }).remote();
const none: undefined = pair.options({ numReturns: 0 }).remote();
const one: ObjectRef<[number, string]> = pair.options({ numReturns: 1 }).remote();
const other: ObjectRef<[number, string]> = pair.options({ numCpus: 2 }).remote();
const kept: [ObjectRef<number>, ObjectRef<string>] = pair.options({ numReturns: 2 }).options({ numCpus: 2 }).remote();

const many = pair.options({ numReturns: n }).remote();
if (Array.isArray(many)) {
  const list: ObjectRef<number | string>[] = many;
  const values: (number | string)[] = await get(list);
} else if (many !== undefined) {
  const value: [number, string] = await get(many);
}
// @ts-expect-error it may be a list, or nothing
const wrong: ObjectRef<[number, string]> = pair.options({ numReturns: n }).remote();
// @ts-expect-error it may be one ref, or nothing
const alsoWrong: ObjectRef<number | string>[] = pair.options({ numReturns: n }).remote();
// @ts-expect-error options of unknown content may name a number of results
const hidden: ObjectRef<[number, string]> = pair.options(options).remote();
// @ts-expect-error the same when it is said to remote()
const first: ObjectRef<number[]> = remote({ numReturns: n }, () => [1]).remote();

// A function that returns no array can only have one result, or none.
const single: ObjectRef<number> | undefined = remote(() => 1).options({ numReturns: n }).remote();
const unknown: ObjectRef<unknown> | ObjectRef<unknown>[] | undefined = remote((): unknown => 1).options({ numReturns: n }).remote();
const Actor = remote(class { both(): number[] { return [1, 2]; } });
const both = Actor.remote().both.options({ numReturns: n }).remote();
// @ts-expect-error
const bothWrong: ObjectRef<number[]> = both;
if (Array.isArray(both)) { const refs: ObjectRef<number>[] = both; }
`;
  assert.equal(compile({ "returns.ts": text }), "");
});

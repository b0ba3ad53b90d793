// A small project in a temporary directory, with packages of its own.
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

export interface Project extends AsyncDisposable {
  readonly directory: string;
  path(file: string): string;
  url(file: string): string;
}

/** Files by path; a value that starts with `->` is a symbolic link. */
export async function makeProject(files: Readonly<Record<string, string>>): Promise<Project> {
  const directory = await mkdtemp(join(tmpdir(), "mobula-project-"));
  for (const [file, text] of Object.entries(files)) {
    const path = join(directory, file);
    await mkdir(dirname(path), { recursive: true });
    if (text.startsWith("->")) await symlink(join(directory, text.slice(2)), path);
    else await writeFile(path, text);
  }
  return {
    directory,
    path: (file) => join(directory, file),
    url: (file) => pathToFileURL(join(directory, file)).href,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Packages of the kinds that there are. */
export const PACKAGES: Readonly<Record<string, string>> = {
  "package.json": '{ "type": "module" }',
  "node_modules/cjs-lib/package.json": '{ "name": "cjs-lib", "main": "index.js" }',
  "node_modules/cjs-lib/index.js": `
    const hidden = () => "hidden";
    class Thing { constructor(n) { this.n = n } twice() { return this.n * 2 } }
    exports.add = (a, b) => a + b;
    exports.Thing = Thing;
    exports.table = { one: 1 };
    exports.reveal = () => hidden;
    Object.defineProperty(exports, "__esModule", { value: true });`,
  "node_modules/fn-lib/package.json": '{ "name": "fn-lib", "main": "index.js" }',
  "node_modules/fn-lib/index.js":
    "module.exports = function shout(s) { return s.toUpperCase() }; module.exports.quiet = (s) => s.toLowerCase();",
  "node_modules/cjs-schema/package.json": '{ "name": "cjs-schema", "main": "index.js" }',
  "node_modules/cjs-schema/index.js": `
    const ok = (shape, value) => Object.keys(shape).every((key) => typeof value[key] === shape[key]);
    exports.object = (shape) => ({ check: (value) => ok(shape, value) });`,
  "node_modules/esm-lib/package.json":
    '{ "name": "esm-lib", "type": "module", "exports": { ".": { "import": "./index.js" } } }',
  "node_modules/esm-lib/index.js": `
    await null;
    export class Box { constructor(v) { this.v = v } open() { return this.v } }
    export default function hi(name) { return "hi " + name }
    const hidden = () => 1;
    export const make = () => ({ run: () => hidden() });
    export const version = "1.0";`,
  "node_modules/schema/package.json": '{ "name": "schema", "type": "module", "exports": "./index.js" }',
  "node_modules/schema/index.js": `
    class Schema {
      #checks = [];
      constructor(shape) { this.shape = shape; this.run = (value) => check(this, value) }
      refine(f) { this.#checks.push(f); return this }
      parse(value) { if (!this.run(value) || !this.#checks.every((f) => f(value))) throw new TypeError("bad"); return value }
    }
    function check(schema, value) { return Object.keys(schema.shape).every((key) => typeof value[key] === schema.shape[key]) }
    export const object = (shape) => new Schema(shape);`,
  "packages/shared/package.json": '{ "name": "shared", "type": "module", "exports": "./index.js" }',
  "packages/shared/index.js": "const base = 40; export const plus = (n) => base + n;",
  "node_modules/shared": "->packages/shared",
};

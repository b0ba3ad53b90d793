/**
 * Builds the addon for this machine: `prebuilds/<platform>-<arch>[-musl]/mobula.node`, with one call of the compiler.
 *
 * Runs when the repository is installed (`prepare`) and packed (`prepack`), never at an installation of the published
 * package, which brings the binaries that lie in `prebuilds` then. Without a compiler an installed repository has no
 * addon, mobula copies instead of mapping, and nothing fails: one line says so. With `--strict` that is a failure:
 * nobody publishes a package without its binary by accident (`prepack`), and `npm run build:native` tells who wants to know.
 *
 * With `--all` (`prepack`, and `npm run build:native -- --all`) it builds for the other machines of `CROSS_COMPILERS`, too,
 * as far as their compilers are there, and says which it leaves out.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCES = ["addon.cc", "arguments.cc", "crc32c.cc", "external-buffer.cc", "mappings.cc", "pages.cc"];
/** What makes a binary for another machine, by the target's name; each is called as Debian calls it. */
const CROSS_COMPILERS = { "linux-arm64": "aarch64-linux-gnu-g++", "linux-x64": "x86_64-linux-gnu-g++" };
const isStrict = process.argv.includes("--strict");

/** src/io/native.ts looks for this name. */
function ownTarget() {
  const isMusl = process.platform === "linux" && process.report?.getReport().header.glibcVersionRuntime === undefined;
  return `${process.platform}-${process.arch}${isMusl ? "-musl" : ""}`;
}

/** Modification time in ms, or 0 for what does not exist. */
function changedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function giveUp(why) {
  process.stderr.write(`mobula: the addon was not built, values will be copied instead of mapped: ${why}\n`);
  process.exit(isStrict ? 1 : 0);
}

function binaryOf(target) {
  return join(HERE, "../prebuilds", target, "mobula.node");
}

/** It is newer than all that it is made of. */
function isBuilt(target) {
  return changedMs(binaryOf(target)) > Math.max(...readdirSync(HERE).map((name) => changedMs(join(HERE, name))));
}

/** Why a compiler cannot be run, if it cannot. */
function missing(compiler) {
  return spawnSync(compiler, ["--version"]).error?.message;
}

function build(target, compiler, headers) {
  const binary = binaryOf(target);
  mkdirSync(dirname(binary), { recursive: true });
  const unfinished = `${binary}.${process.pid}`; // a process that has the old file open keeps it
  const kind = target.startsWith("darwin")
    ? ["-bundle", "-undefined", "dynamic_lookup"]
    : ["-shared", "-Wl,-s,--as-needed"];
  const done = spawnSync(
    compiler,
    [
      ...["-O2", "-fPIC", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"],
      ...["-fvisibility=hidden", "-Wall", "-Wextra", ...kind, "-I", headers, "-o", unfinished],
      ...SOURCES.map((name) => join(HERE, name)),
    ],
    { encoding: "utf8" },
  );
  if (done.status !== 0) {
    rmSync(unfinished, { force: true });
    giveUp(`${compiler} failed for ${target}\n${done.error?.message ?? done.stderr}`);
  }
  if (done.stderr !== "") process.stderr.write(done.stderr);
  renameSync(unfinished, binary);
}

function buildOwn(target, headers) {
  if (isBuilt(target)) return;
  const compiler = process.env["CXX"] ?? "c++";
  const problem = missing(compiler);
  if (problem !== undefined) giveUp(`${compiler} cannot be run (${problem})`);
  build(target, compiler, headers);
}

function buildOther(target, compiler, headers) {
  if (isBuilt(target)) return;
  if (missing(compiler) === undefined) return build(target, compiler, headers);
  if (changedMs(binaryOf(target)) > 0)
    giveUp(`that for ${target} is older than its sources, and there is no ${compiler}`);
  process.stderr.write(`mobula: left out the addon for ${target}: there is no ${compiler}\n`);
}

async function main() {
  if (process.platform === "win32") giveUp("Windows is not supported");
  const { include_dir: headers } = await import("node-api-headers");
  const own = ownTarget();
  buildOwn(own, headers);
  if (!process.argv.includes("--all")) return;
  for (const [target, compiler] of Object.entries(CROSS_COMPILERS)) {
    if (target !== own) buildOther(target, compiler, headers);
  }
}

main().catch((error) => giveUp(error.message));

/**
 * Builds the addon for this machine: `prebuilds/<platform>-<arch>[-musl]/mobula.node`, with one call of the compiler.
 *
 * Runs when the repository is installed (`prepare`) and packed (`prepack`), never at an installation of the published
 * package, which brings the binaries that lie in `prebuilds` then. Without a compiler an installed repository has no
 * addon, mobula copies instead of mapping, and nothing fails: one line says so. With `--strict` that is a failure:
 * nobody publishes a package without its binary by accident (`prepack`), and `npm run build:native` tells who wants to know.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCES = ["addon.cc", "arguments.cc", "crc32c.cc", "external-buffer.cc", "mappings.cc", "pages.cc"];
const isStrict = process.argv.includes("--strict");

/** src/io/native.ts looks for this name. */
function targetName() {
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

async function build() {
  if (process.platform === "win32") giveUp("Windows is not supported");
  const { include_dir: headers } = await import("node-api-headers");
  const target = join(HERE, "../prebuilds", targetName(), "mobula.node");
  const inputs = readdirSync(HERE).map((name) => changedMs(join(HERE, name)));
  if (changedMs(target) > Math.max(...inputs)) return;

  mkdirSync(dirname(target), { recursive: true });
  const unfinished = `${target}.${process.pid}`; // a process that has the old file open keeps it
  const kind =
    process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-Wl,-s,--as-needed"];
  const compiler = process.env["CXX"] ?? "c++";
  const done = spawnSync(
    compiler,
    [
      ...["-O2", "-fPIC", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"],
      ...["-fvisibility=hidden", "-Wall", "-Wextra", ...kind, "-I", headers, "-o", unfinished],
      ...SOURCES.map((name) => join(HERE, name)),
    ],
    { encoding: "utf8" },
  );
  if (done.error !== undefined) giveUp(`${compiler} cannot be run (${done.error.message})`);
  if (done.status !== 0) {
    rmSync(unfinished, { force: true });
    giveUp(`${compiler} failed\n${done.stderr}`);
  }
  if (done.stderr !== "") process.stderr.write(done.stderr);
  renameSync(unfinished, target);
}

build().catch((error) => giveUp(error.message));

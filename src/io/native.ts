/**
 * The addon (`native/`): memory mappings and a few system calls that Node does not offer.
 *
 * It is an accelerator, never a condition: without it, or with `MOBULA_NATIVE=0`, values are copied out of the store
 * with positioned reads, and everything else is the same. Loaded when first asked for.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Raised together with the one in `native/addon.cc`. */
const INTERFACE_VERSION = 3;
const VARIABLE = "MOBULA_NATIVE";

/** What the addon offers. Each function throws an error whose `code` is the name of an errno, or a TypeError. */
export interface Native {
  /**
   * Map a range of a file for writing, seen by all. Never for user code. At most `constants.MAX_LENGTH` bytes. The offset is
   * a multiple of `STORE_PAGE_BYTES`, here and in `mapPrivate`, whatever pages the machine has.
   */
  mapShared(fd: number, offset: number, sizeBytes: number): ArrayBuffer | undefined;
  /**
   * Map a range of a file copy-on-write. Undefined where this runtime allows no external memory. The mapping ends when
   * the last view of it is gone; `takeReleased` gives the token then, unless it is -1.
   */
  mapPrivate(fd: number, offset: number, sizeBytes: number, token: number): ArrayBuffer | undefined;
  /** Detach a shared mapping now: all its views are empty from here on. */
  unmap(buffer: ArrayBuffer): void;
  /** Private mappings of this process, its worker threads included. */
  liveMaps(): number;
  /** Give this thread's private mappings that have a token memory of their own: the files may change from here on. */
  copyPrivateMaps(): void;
  /** Called when the event loop turns and there is something to take; one for each thread. */
  onReleased(callback: () => void): void;
  /** The tokens of mappings of this thread that are gone, each once; none before `onReleased` was called. */
  takeReleased(): number[];
  /** Take space in the file system for a range of a file, whose contents stay. @throws ENOSPC, EDQUOT, EOPNOTSUPP */
  reserve(fd: number, offset: number, sizeBytes: number): void;
  /** Touch all pages of a view of a shared mapping at once. False where the kernel cannot. @throws ENOSPC */
  populate(bytes: Uint8Array): boolean;
  /** CRC-32C of bytes that follow others with checksum `before` (0: nothing before). */
  crc32c(bytes: Uint8Array, before: number): number;
  /** The same without the processor's instruction. */
  crc32cTable(bytes: Uint8Array, before: number): number;
  /** Block this thread until the descriptor has bytes or its end to read. False when the time is over; -1: no limit. */
  waitReadable(fd: number, timeoutMs: number): boolean;
  /** From now on the kernel kills this process when the thread that started it ends. False where it cannot. */
  dieWithParent(): boolean;
}

type Loaded =
  | { readonly native: Native; readonly problem?: undefined }
  | { readonly native?: undefined; readonly problem: string | undefined };

let loaded: Loaded | undefined;

/** The addon, or undefined where it is missing or switched off. */
export function loadNative(): Native | undefined {
  loaded ??= load();
  return loaded.native;
}

/** Why there is no addon although nobody has switched it off. For a warning. */
export function nativeProblem(): string | undefined {
  loaded ??= load();
  return loaded.problem;
}

function load(): Loaded {
  if (process.env[VARIABLE] === "0") return { problem: undefined };
  const { platform, arch } = process;
  // A binary for musl does not load under glibc, which is quicker to try than to find out which of them this Node has. Musl
  // takes one for glibc, too: so its own comes first.
  const own = platform === "linux" ? tryToLoad(`${platform}-${arch}-musl`) : undefined;
  return own?.native === undefined ? tryToLoad(`${platform}-${arch}`) : own;
}

function tryToLoad(target: string): Loaded {
  const path = join(prebuildsDirectory(), target, "mobula.node");
  const module: { exports: Partial<Native> & { readonly interfaceVersion?: number } } = { exports: {} };
  try {
    process.dlopen(module, path);
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
  const { interfaceVersion } = module.exports;
  if (interfaceVersion === INTERFACE_VERSION) return { native: module.exports as Native };
  return { problem: `${path} has interface ${interfaceVersion}, and ${INTERFACE_VERSION} is needed: build it anew` };
}

/** This file is two folders below `dist`, in the compiled tree as in the bundle; a program may load the sources too. */
function prebuildsDirectory(): string {
  const [installed, fromSources] = ["../../../prebuilds", "../../prebuilds"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  ) as [string, string];
  return existsSync(fromSources) ? fromSources : installed;
}

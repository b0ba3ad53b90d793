/** What a container or service manager leaves this process of the machine: the limits of its cgroups. */
import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join, normalize } from "node:path/posix";

/** Infinity where nothing is limited. */
export interface ContainerLimits {
  readonly cpus: number;
  readonly memoryBytes: number;
}

/** The files of one cgroup, as far as it has them: those of version 2, then those of version 1. */
export interface CgroupTexts {
  readonly "cpu.max"?: string | undefined;
  readonly "memory.max"?: string | undefined;
  readonly "cpu.cfs_quota_us"?: string | undefined;
  readonly "cpu.cfs_period_us"?: string | undefined;
  readonly "memory.limit_in_bytes"?: string | undefined;
}

const FILES = ["cpu.max", "memory.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes"] as const;
const CONTROLLERS = ["cpu", "memory"];

/** Whole CPUs that a node here offers by default, at least 1: its tasks are counted in them, and half a one runs none. */
export function usableCpus(limits = containerLimits()): number {
  return Math.max(1, Math.floor(Math.min(availableParallelism(), limits.cpus)));
}

export function usableMemoryBytes(limits = containerLimits()): number {
  return Math.min(totalmem(), limits.memoryBytes);
}

/** The limits that hold for this process. `root`: where `/proc` and `/sys` are. Without cgroups there are none. */
export function containerLimits(root = "/"): ContainerLimits {
  const directories = cgroupDirectories(textOf(join(root, "proc/self/cgroup")) ?? "");
  return smallestLimits(
    directories.map((directory) => {
      const textIn = (file: string) => [file, textOf(join(root, "sys/fs/cgroup", directory, file))];
      return Object.fromEntries(FILES.map(textIn)) as CgroupTexts;
    }),
  );
}

/**
 * The cgroups of the process, each with all above it, as paths below `/sys/fs/cgroup`. In a container that path may begin
 * at the host's root while the container sees its own cgroup at the top: so the top counts too, and not all of them exist.
 */
export function cgroupDirectories(procSelfCgroup: string): string[] {
  const found = new Set<string>();
  for (const line of procSelfCgroup.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const hierarchy of hierarchiesOf(controllers)) {
      for (let at = normalize(path); ; at = join(at, "..")) {
        found.add(join(hierarchy, at));
        if (at === "/") break;
      }
    }
  }
  return [...found];
}

/** Where a line's cgroups lie: those of version 2 at the top, others under their controllers' names, together or alone. */
function hierarchiesOf(controllers: string): string[] {
  if (controllers === "") return ["/"];
  const ours = controllers.split(",").filter((name) => CONTROLLERS.includes(name));
  return ours.length === 0 ? [] : [`/${controllers}`, ...ours.map((name) => `/${name}`)];
}

/** A cgroup has no more than those above it: the smallest limit holds. */
export function smallestLimits(cgroups: readonly CgroupTexts[]): ContainerLimits {
  return {
    cpus: Math.min(...cgroups.map(cpusOf)),
    memoryBytes: Math.min(...cgroups.map(memoryBytesOf)),
  };
}

function cpusOf(texts: CgroupTexts): number {
  const [quota, period] = texts["cpu.max"]?.trim().split(" ") ?? [];
  return Math.min(share(quota, period), share(texts["cpu.cfs_quota_us"], texts["cpu.cfs_period_us"]));
}

/** "max" and -1 are no limit. */
function share(quota: string | undefined, period: string | undefined): number {
  const cpus = positive(quota) / positive(period);
  return cpus > 0 ? cpus : Number.POSITIVE_INFINITY; // without a period nothing is said
}

/** Version 1 says 2^63 − 4096 when there is no limit, which is more than any machine has. */
function memoryBytesOf(texts: CgroupTexts): number {
  return Math.min(positive(texts["memory.max"]), positive(texts["memory.limit_in_bytes"]));
}

/** Infinity for whatever is no positive number. */
function positive(text: string | undefined): number {
  const number = Number(text);
  return number > 0 ? number : Number.POSITIVE_INFINITY;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // no such cgroup, or one that does not limit this
  }
}

// A node offers what its container may use, in both versions of cgroups, whichever cgroup above it sets the limit.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, test } from "node:test";
import {
  cgroupDirectories,
  containerLimits,
  smallestLimits,
  usableCpus,
  usableMemoryBytes,
} from "./container-limits.js";

const NONE = { cpus: Number.POSITIVE_INFINITY, memoryBytes: Number.POSITIVE_INFINITY };
const MIB = 2 ** 20;
const made: string[] = [];

afterEach(() => {
  for (const root of made.splice(0)) rmSync(root, { recursive: true });
});

/** A directory with these files, as `/proc` and `/sys` would be. */
function machine(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "cgroups-"));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

test("a process is in its cgroup and in all above it, of each hierarchy that limits CPU or memory", () => {
  assert.deepEqual(cgroupDirectories("0::/a/b\n"), ["/a/b", "/a", "/"]);
  assert.deepEqual(cgroupDirectories("0::/\n"), ["/"]);
  const version1 = "5:cpu,cpuacct:/docker/c\n4:memory:/\n3:pids:/docker/c\n1:name=systemd:/docker/c\n";
  const [joined, alone] = ["/cpu,cpuacct", "/cpu"];
  assert.deepEqual(cgroupDirectories(version1), [
    ...[`${joined}/docker/c`, `${joined}/docker`, `${joined}/`],
    ...[`${alone}/docker/c`, `${alone}/docker`, `${alone}/`],
    "/memory/",
  ]);
});

test("a path leads no further up than to the top, and lines of another form say nothing", () => {
  assert.deepEqual(cgroupDirectories("0::/../../etc"), ["/etc", "/"]);
  for (const text of ["", "\n\n", "0::", "nonsense", "x:cpu:/a", "1:cpu"])
    assert.deepEqual(cgroupDirectories(text), []);
});

test("the smallest limit counts, and what is no number is none", () => {
  assert.deepEqual(smallestLimits([]), NONE);
  assert.deepEqual(smallestLimits([{ "cpu.max": "max 100000\n", "memory.max": "max\n" }, {}]), NONE);
  assert.deepEqual(smallestLimits([{ "cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n" }]), NONE);
  for (const text of ["", " ", "0 0", "200000", "200000 0", "x y"])
    assert.deepEqual(smallestLimits([{ "cpu.max": text }]), NONE);
  const inner = { "cpu.max": "300000 100000\n", "memory.max": `${64 * MIB}\n` };
  const outer = { "cpu.max": "50000 20000\n", "memory.max": `${128 * MIB}\n` };
  assert.deepEqual(smallestLimits([inner, outer]), { cpus: 2.5, memoryBytes: 64 * MIB });
  const version1 = {
    "cpu.cfs_quota_us": "150000\n",
    "cpu.cfs_period_us": "100000\n",
    "memory.limit_in_bytes": "1000\n",
  };
  assert.deepEqual(smallestLimits([version1, outer]), { cpus: 1.5, memoryBytes: 1000 });
});

test("version 2: the limits are those of the container's cgroup or of one above it", () => {
  const root = machine({
    "proc/self/cgroup": "0::/kubepods/pod/container\n",
    "sys/fs/cgroup/kubepods/pod/container/cpu.max": "max 100000\n",
    "sys/fs/cgroup/kubepods/pod/container/memory.max": `${512 * MIB}\n`,
    "sys/fs/cgroup/kubepods/pod/cpu.max": "250000 100000\n",
    "sys/fs/cgroup/kubepods/pod/memory.max": `${256 * MIB}\n`,
    "sys/fs/cgroup/kubepods/cpu.max": "max 100000\n",
  });
  assert.deepEqual(containerLimits(root), { cpus: 2.5, memoryBytes: 256 * MIB });
});

test("version 1: the container's cgroup lies at the top of what it sees, though its path begins at the host's", () => {
  const root = machine({
    "proc/self/cgroup": "6:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": `${100 * MIB}\n`,
  });
  assert.deepEqual(containerLimits(root), { cpus: 0.5, memoryBytes: 100 * MIB });
});

test("a machine without cgroups limits nothing", () => {
  assert.deepEqual(containerLimits(machine({})), NONE);
  assert.deepEqual(containerLimits(machine({ "proc/self/cgroup": "0::/gone\n" })), NONE);
});

test("a node offers whole CPUs, at least one, and never more than the machine has", () => {
  assert.equal(usableCpus({ ...NONE, cpus: 0.5 }), 1);
  assert.equal(usableCpus({ ...NONE, cpus: 1.9 }), 1);
  assert.equal(usableCpus(NONE), availableParallelism());
  assert.equal(usableMemoryBytes({ ...NONE, memoryBytes: 100 * MIB }), 100 * MIB);
  assert.equal(usableMemoryBytes({ ...NONE, memoryBytes: 2 ** 63 }), totalmem());
});

/** CPU time of all processes of a cluster on this host: driver, nodes, workers. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { ClusterTool } from "../process/cluster-tool.js";
import { liveNodes } from "../process/node-record.js";

export class ClusterCpu {
  readonly #tool: ClusterTool;
  readonly #tickUs = clockTickUs();
  /** Of each process the last reading: one that has ended still counts with what it had used then. */
  readonly #usedUs = new Map<number, number>();

  constructor(tool: ClusterTool) {
    this.#tool = tool;
  }

  /** Since the processes started. NaN where there is no /proc: then nobody can say. */
  async usedUs(): Promise<number> {
    const { user, system } = process.cpuUsage();
    for (const pid of await this.#pids()) {
      const us = cpuOf(pid, this.#tickUs);
      if (us !== undefined) this.#usedUs.set(pid, us);
    }
    if (this.#usedUs.size === 0) return Number.NaN;
    let total = user + system;
    for (const us of this.#usedUs.values()) total += us;
    return total;
  }

  async #pids(): Promise<Set<number>> {
    const nodes = liveNodes().filter(({ record }) => record.clusterId === this.#tool.clusterId);
    const workers = await this.#tool.workers();
    const pids = new Set([...nodes.map(({ record }) => record.pid), ...workers.map(({ pid }) => pid)]);
    pids.delete(process.pid);
    pids.delete(0); // a worker that is only starting
    return pids;
  }
}

/** Fields 14 and 15 of /proc/<pid>/stat. The command before them may contain anything. */
function cpuOf(pid: number, tickUs: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * tickUs;
  } catch {
    return undefined;
  }
}

function clockTickUs(): number {
  try {
    return 1_000_000 / Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  } catch {
    return 10_000; // what Linux tells user space nearly everywhere
  }
}

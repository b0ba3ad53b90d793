/** `mobula trace`: the journey of a task as the processes of the cluster recorded it. */
import type { JourneyRecord } from "../core/journey.js";
import { findTask, type Ladder, type LadderLine, laddersOf } from "../core/ladder.js";
import { MobulaError } from "../errors.js";
import { type NodeView, nameOf, nodesOf } from "./cluster-view.js";
import { withCluster } from "./connect.js";
import { print, printJson, table } from "./text.js";

export interface TraceOptions {
  readonly address?: string;
  readonly json?: boolean;
}

export async function trace(task: string | undefined, options: TraceOptions): Promise<void> {
  const { nodes, records } = await withCluster(options.address, async (tool) => {
    const [found, answer] = await Promise.all([nodesOf(tool), tool.query("trace", "")]);
    return { nodes: found, records: recordsIn(JSON.parse(answer)) };
  });
  const taskId = findTask(records, task);
  if (taskId === undefined) throw new MobulaError(nothingFound(task));
  const ladders = laddersOf(records, taskId);
  if (options.json === true) printJson({ taskId, ladders });
  else print(inWords(ladders, nodes));
}

function nothingFound(task: string | undefined): string {
  const kept = "a process keeps the records of about its last 1,000 tasks, and an ended one's are kept for 10 minutes";
  return task === undefined
    ? `no task has run, as far as is known: ${kept}`
    : `nothing is recorded of ${task}: ${kept}`;
}

/** Each process has answered with an array; arrays of arrays tell nothing more. */
export function recordsIn(answer: unknown): JourneyRecord[] {
  return Array.isArray(answer) ? (answer.flat(Number.POSITIVE_INFINITY) as JourneyRecord[]) : [];
}

/** Ladders as people read them; nodes are N1, N2, … in the order of the list. */
export function inWords(ladders: readonly Ladder[], nodes: readonly NodeView[]): string {
  const names = new Map(nodes.map(({ nodeId }, index) => [nodeId, nameOf(index)]));
  const legend = nodes.map(({ nodeId, address, isHead }, index) => {
    return `${nameOf(index)} = node ${nodeId} at ${address}${isHead ? ", the head" : ""}`;
  });
  const blocks = ladders.map(
    (ladder) =>
      `${titleOf(ladder)}\n${table(
        HEAD,
        ladder.lines.map((l) => cells(l, names)),
      )}`,
  );
  return [legend.join("\n"), ...blocks].join("\n\n");
}

const HEAD = ["  step", "", "node", "plane", " ms", ""];

function titleOf({ ladder, subject, name }: Ladder): string {
  const what = ladder === "get" ? "get of object" : ladder;
  return `${what} ${name === "" ? subject : `${name} (${subject})`}`;
}

function cells(line: LadderLine, names: ReadonlyMap<string, string>): string[] {
  const { number, step, node, plane, timeMs, state, count, reason } = line;
  const remark =
    state === "skipped" ? `skipped: ${reason}` : state === "unrecorded" ? reason : count > 1 ? `${count} times` : "";
  return [`${number}`, step, names.get(node) ?? (node === "" ? "–" : node), plane, timeMs?.toFixed(3) ?? "", remark];
}

/**
 * Ladders kept as text: one line for each step, without times, so that the simulator's journey of a program and that of
 * real processes can be compared word by word. What times still say is checked beside it: the causal order.
 */
import { type JourneyRecord, STEPS, type Step } from "./journey.js";

/** Whose ladders are wanted. Records of anything else are left out. */
export interface TranscriptSubjects {
  /** The function, and the task that runs it. */
  readonly functionId: string;
  readonly taskId: string;
  /** The object that is got. */
  readonly objectId: string;
  /** The actor, and the call of one of its methods. */
  readonly actorId: string;
  readonly callId: string;
}

export interface TranscriptOptions {
  /** Names of nodes by their ids; a node without a name appears with its id. */
  readonly nodes: ReadonlyMap<string, string>;
  /** Also the lines of steps that were not needed, with the reason. */
  readonly withSkipped?: boolean;
}

const LADDERS = ["task", "get", "actor"] as const;

/** `ladder step name node plane`, sorted by ladder and step; what happened several times in one place appears once. */
export function transcriptOf(
  records: Iterable<JourneyRecord>,
  subjects: TranscriptSubjects,
  { nodes, withSkipped = false }: TranscriptOptions,
): readonly string[] {
  const lines = new Map<string, number>();
  for (const record of records) {
    const { step, node, skipped } = record;
    if (!isAbout(record, subjects) || (skipped !== "" && !withSkipped)) continue;
    const { ladder, number, plane } = STEPS[step];
    const words = [ladder, number, step, nodes.get(node) ?? node, plane];
    if (skipped !== "") words.push(`skipped: ${skipped}`);
    lines.set(words.join(" "), LADDERS.indexOf(ladder) * 100 + number);
  }
  return [...lines].sort(([a, at], [b, bt]) => at - bt || (a < b ? -1 : 1)).map(([line]) => line);
}

/** Which step must precede which: a step's cause is the one that handed it the work. */
const CAUSES: readonly (readonly [cause: Step, effect: Step])[] = [
  ["submitTask", "forwardToGlobal"],
  ["forwardToGlobal", "lookUpObjects"],
  ["lookUpObjects", "placeTask"],
  ["placeTask", "checkArguments"],
  ["checkArguments", "locateArgument"],
  ["locateArgument", "fetchArgument"],
  ["fetchArgument", "dispatchTask"],
  ["dispatchTask", "executeTask"],
  ["registerFunction", "executeTask"],
  ["executeTask", "storeResult"],
  ["checkLocalStore", "subscribeObject"],
  ["storeResult", "registerObject"],
  ["subscribeObject", "notifyWaiters"],
  ["registerObject", "notifyWaiters"],
  ["notifyWaiters", "fetchResult"],
  ["fetchResult", "returnValue"],
  ["registerActor", "leaseActorWorker"],
  ["leaseActorWorker", "createActor"],
  ["createActor", "callActor"],
];

/**
 * What breaks the causal order, in words; empty when nothing does. Steps are compared by the first time they were
 * recorded; a step that is missing breaks nothing here, its line is missing in the transcript.
 */
export function causalViolations(
  records: Iterable<JourneyRecord>,
  subjects: TranscriptSubjects,
  clockToleranceMs = 0,
): readonly string[] {
  const first = new Map<Step, number>();
  for (const record of records) {
    if (!isAbout(record, subjects) || record.skipped !== "") continue;
    first.set(record.step, Math.min(record.timeMs, first.get(record.step) ?? Number.POSITIVE_INFINITY));
  }
  const violations: string[] = [];
  for (const [cause, effect] of CAUSES) {
    const causedMs = first.get(cause);
    const happenedMs = first.get(effect);
    if (causedMs === undefined || happenedMs === undefined || causedMs <= happenedMs + clockToleranceMs) continue;
    violations.push(`${effect} happened ${causedMs - happenedMs} ms before its cause ${cause}`);
  }
  return violations;
}

function isAbout({ step, subject }: JourneyRecord, subjects: TranscriptSubjects): boolean {
  const { functionId, taskId, objectId, actorId, callId } = subjects;
  if (step === "registerFunction") return subject === functionId;
  if (step === "callActor") return subject === callId;
  const { ladder } = STEPS[step];
  return subject === (ladder === "task" ? taskId : ladder === "get" ? objectId : actorId);
}

/**
 * Ladders: one task's journey, step by step, for people to read (`mobula trace`).
 *
 * Every step of LECTURE.md has a line. One without a record was not needed, and another record of the same ladder tells
 * why; or nobody has done it (yet), or its record is no longer kept.
 */
import { OBJECT_ID_DIGITS, TASK_ID_DIGITS } from "../base/ids.js";
import { type JourneyRecord, type Plane, STEP_NAMES, STEPS, type Step } from "./journey.js";

export type LadderName = "task" | "get" | "actor";

export interface LadderLine {
  readonly number: number;
  readonly step: Step;
  readonly plane: Plane;
  readonly state: "done" | "skipped" | "unrecorded";
  /** Where it was done; empty otherwise. */
  readonly node: string;
  /** Milliseconds since the ladder's first step; what was registered long before has a negative time. */
  readonly timeMs: number | undefined;
  /** How often it was done on this node. */
  readonly count: number;
  /** Why it was skipped, or why there is no record. */
  readonly reason: string;
}

export interface Ladder {
  readonly ladder: LadderName;
  /** The id of the task, object or actor. */
  readonly subject: string;
  /** Of the function or class, as far as a record tells. */
  readonly name: string;
  readonly lines: readonly LadderLine[];
}

type Reasons = (step: Step) => Pick<LadderLine, "state" | "reason">;

// ── Which task ──────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The task (or actor call, or actor) that `wanted` means: the beginning of its id or of its object's, or the name of its
 * function; the latest of several. Without `wanted` the latest of all.
 */
export function findTask(records: readonly JourneyRecord[], wanted: string | undefined): string | undefined {
  const id = wanted?.slice(0, TASK_ID_DIGITS);
  let latest: JourneyRecord | undefined;
  for (const record of records) {
    if (!beginsTask(record) || (latest !== undefined && record.timeMs < latest.timeMs)) continue;
    if (id === undefined || record.subject.startsWith(id) || nameIn(record) === wanted) latest = record;
  }
  return latest?.subject;
}

/** The first thing that is recorded of a task, by whichever way it goes. */
function beginsTask({ step }: JourneyRecord): boolean {
  return step === "submitTask" || step === "executeTask" || step === "callActor" || step === "registerActor";
}

/** The function's or class's name. A call's record names its actor instead. */
function nameIn({ step, detail }: JourneyRecord): string | undefined {
  return step === "submitTask" || step === "executeTask" || step === "registerActor" ? detail : undefined;
}

// ── Its ladders ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** The ladders of one task: of the actor it calls or is, of the task itself, and of each of its results. */
export function laddersOf(records: readonly JourneyRecord[], taskId: string): Ladder[] {
  const own = records.filter(({ subject }) => subject === taskId);
  const call = own.find(({ step }) => step === "callActor");
  const isActor = own.some(({ step }) => step === "registerActor");
  if (isActor) return [actorLadder(records, taskId, undefined)];
  const actor = call === undefined ? undefined : actorLadder(records, call.detail, call);
  const ladders = actor === undefined ? [] : [actor];
  ladders.push(taskLadder(records, own, taskId, actor));
  for (const objectId of resultsOf(records, taskId)) ladders.push(getLadder(records, own, objectId));
  return ladders;
}

function resultsOf(records: readonly JourneyRecord[], taskId: string): string[] {
  const ids = new Set<string>();
  for (const { subject } of records) {
    if (subject.length === OBJECT_ID_DIGITS && subject.startsWith(taskId)) ids.add(subject);
  }
  // A small result never leaves its owner, and no record names it: nearly every task has exactly one.
  return ids.size === 0 ? [taskId.padEnd(OBJECT_ID_DIGITS, "0")] : [...ids].sort();
}

/** Of a task, or of a call of `actor`: then the function is its class. */
function taskLadder(
  records: readonly JourneyRecord[],
  own: readonly JourneyRecord[],
  taskId: string,
  actor: Ladder | undefined,
): Ladder {
  const name = own.map(nameIn).find((known) => known !== undefined) ?? "";
  const registered = registrationOf(records, own, actor?.name ?? name);
  const about = own.filter(({ step }) => STEPS[step].ladder === "task");
  if (registered !== undefined) about.unshift(registered);
  const lines = linesOf("task", about, taskReasons(about, actor !== undefined));
  return { ladder: "task", subject: taskId, name, lines };
}

/** The function table knows functions by their content; from a task's records only the name leads there. */
function registrationOf(
  records: readonly JourneyRecord[],
  own: readonly JourneyRecord[],
  name: string,
): JourneyRecord | undefined {
  const endMs = Math.max(...own.map(({ timeMs }) => timeMs));
  return records
    .filter((record) => record.step === "registerFunction" && record.detail === name && record.timeMs <= endMs)
    .reduce<JourneyRecord | undefined>(
      (last, r) => (last !== undefined && last.timeMs > r.timeMs ? last : r),
      undefined,
    );
}

function getLadder(records: readonly JourneyRecord[], own: readonly JourneyRecord[], objectId: string): Ladder {
  const about = records.filter(({ subject }) => subject === objectId);
  const executed = own.some(({ step }) => step === "executeTask");
  return { ladder: "get", subject: objectId, name: "", lines: linesOf("get", about, getReasons(about, executed)) };
}

function actorLadder(records: readonly JourneyRecord[], actorId: string, call: JourneyRecord | undefined): Ladder {
  const about = records.filter((record) => {
    if (record.step === "callActor") return call === undefined ? record.detail === actorId : record === call;
    return record.subject === actorId;
  });
  const name = about.find(({ step }) => step === "registerActor")?.detail ?? "";
  return { ladder: "actor", subject: actorId, name, lines: linesOf("actor", about, () => NO_RECORD) };
}

// ── Its lines ───────────────────────────────────────────────────────────────────────────────────────────────────────

function linesOf(ladder: LadderName, about: readonly JourneyRecord[], reasons: Reasons): LadderLine[] {
  const done = about.filter(({ skipped, step }) => skipped === "" && STEPS[step].ladder === ladder);
  const own = done.filter(({ step }) => step !== "registerFunction");
  const startMs = Math.min(...(own.length > 0 ? own : done).map(({ timeMs }) => timeMs));
  const lines: LadderLine[] = [];
  for (const step of STEP_NAMES) {
    const { ladder: its, number, plane } = STEPS[step];
    if (its !== ladder) continue;
    const places = new Map<string, JourneyRecord[]>();
    for (const record of done) {
      if (record.step === step) places.set(record.node, [...(places.get(record.node) ?? []), record]);
    }
    for (const [node, there] of places) {
      const timeMs = Math.min(...there.map((record) => record.timeMs)) - startMs;
      lines.push({ number, step, plane, state: "done", node, timeMs, count: there.length, reason: "" });
    }
    if (places.size > 0) continue;
    const skipped = about.find((record) => record.step === step && record.skipped !== "")?.skipped;
    const why = skipped === undefined ? reasons(step) : because(skipped);
    lines.push({ number, step, plane, node: "", timeMs: undefined, count: 0, ...why });
  }
  return lines;
}

const NO_RECORD = { state: "unrecorded", reason: "no record" } as const;

function because(reason: string): Pick<LadderLine, "state" | "reason"> {
  return { state: "skipped", reason };
}

/** One shortcut spares several steps; its record stands at the first of them. */
function taskReasons(about: readonly JourneyRecord[], isCall: boolean): Reasons {
  const shortcut = (step: Step) => about.find((record) => record.step === step && record.skipped !== "")?.skipped;
  const reused = shortcut("submitTask");
  const alone = shortcut("forwardToGlobal");
  const plain = shortcut("checkArguments");
  const checked = about.some(({ step, skipped }) => step === "checkArguments" && skipped === "");
  return (step) => {
    const { number } = STEPS[step];
    if (number === 0 || number === 9) return NO_RECORD;
    if (isCall) return because("the actor is called directly");
    if (number === 8 && reused !== undefined) return because(reused);
    if (number >= 2 && number <= 4 && alone !== undefined) return because(alone);
    if (plain !== undefined && (step === "lookUpObjects" || number >= 5))
      return number < 8 ? because(plain) : NO_RECORD;
    if (checked && (step === "locateArgument" || step === "fetchArgument")) return because("everything is local");
    return reused === undefined ? NO_RECORD : because(reused);
  };
}

function getReasons(about: readonly JourneyRecord[], executed: boolean): Reasons {
  const at = (step: Step) => about.find((record) => record.step === step);
  const stored = at("storeResult");
  const asked = at("checkLocalStore");
  const registered = at("registerObject");
  const subscribed = at("subscribeObject");
  if (stored === undefined && asked === undefined) return executed ? smallResult : () => NO_RECORD;
  if (asked === undefined)
    return (step) => (STEPS[step].number < 3 || STEPS[step].number > 4 ? NOBODY_ASKED : NO_RECORD);
  const isLocal = stored?.node === asked.node;
  return (step) => {
    if (step === "notifyWaiters" && registered !== undefined && subscribed !== undefined) {
      return registered.timeMs <= subscribed.timeMs ? because("the entry was there already") : NO_RECORD;
    }
    const spared = step === "subscribeObject" || step === "notifyWaiters" || step === "fetchResult";
    return spared && isLocal ? because("everything is local") : NO_RECORD;
  };
}

const NOBODY_ASKED = { state: "unrecorded", reason: "nobody has asked for it" } as const;

/** It travels in the worker's answer and stays in its owner's memory: no store, no object table. */
function smallResult(step: Step): Pick<LadderLine, "state" | "reason"> {
  return because(
    step === "checkLocalStore" || step === "returnValue" ? "the result is small" : "the worker replies to the owner",
  );
}

/** Tasks of an owner, named. */

import type { ObjectEntry } from "../../src/core/owner/records.js";
import { type Held, type Outcome, Task, type TaskTemplate } from "../../src/core/owner/records.js";
import { CPU_1 } from "./messages.js";
import { context } from "./names.js";

export function template(name: string, changes: Partial<TaskTemplate> = {}): TaskTemplate {
  return {
    functionId: "f",
    name,
    method: "",
    numReturns: 1,
    maxRetries: 3,
    timeoutMs: 0,
    demand: CPU_1,
    strategy: { kind: "default" },
    schedulingKey: "key",
    ...changes,
  };
}

let made = 0;

/** A task called `name`; tasks share a scheduling key unless the test says otherwise. */
export function namedTask(
  name: string,
  changes: Partial<TaskTemplate> = {},
  dependencies: readonly ObjectEntry[] = [],
  nested: readonly Held[] = [],
): Task {
  return new Task(template(name, changes), context(name), made++, 0, undefined, dependencies, nested);
}

export const RETURNED: Outcome = { kind: "returned", results: [{ kind: "inline", value: "value" }] };

/** `failed WORKER_CRASHED`, `returned`, `threw`. */
export function outcomeLine(outcome: Outcome): string {
  return outcome.kind === "failed" ? `failed ${outcome.code}` : outcome.kind;
}

/** What the parts of the capture know about the function they are at. */
import type { Task } from "./graph.js";
import type { FunctionFacts } from "./inspect.js";
import type { Analysis } from "./scope-analysis.js";
import type { Script } from "./scripts.js";

export interface Subject {
  readonly task: Task;
  readonly fn: CallableFunction;
  readonly text: string;
  readonly analysis: Analysis;
  readonly facts: FunctionFacts;
  readonly script: Script | undefined;
  /** Where the text begins in the script. */
  readonly offset: number | undefined;
}

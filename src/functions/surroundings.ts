/**
 * What a function takes from the code around it besides variables: the inspector does not show it, and another process
 * does not have it.
 */
import type { Graph } from "./graph.js";
import { hasOuterThis } from "./script-facts.js";
import type { Subject } from "./subject.js";

/** `this`, `super`, `arguments` and private names of the code around a function cannot be captured. */
export function checkSurroundings(graph: Graph, { task, analysis, script, offset }: Subject): void {
  const [member] = analysis.privateNames;
  if (member !== undefined) {
    graph.obstruct(
      task.path,
      `uses the private member #${member} of the class around it`,
      "ship the class itself, or give it a public method for this",
    );
  }
  if (analysis.usesSuper && analysis.kind !== "class") {
    graph.obstruct(task.path, "uses `super` of the object around it", "ship the object or class itself");
  }
  const [lexical] = analysis.lexical;
  if (lexical === undefined) return;
  if (lexical !== "super" && script !== undefined && offset !== undefined && !hasOuterThis(script, offset)) return;
  graph.obstruct(
    task.path,
    `uses \`${lexical}\` of the ${lexical === "arguments" ? "function" : "method"} around it`,
    "copy what it needs into a const before the function, or pass it as an argument",
  );
}

/**
 * Functions and classes on their way to other processes: capture here, revival there.
 *
 * Importing this folder is cheap: the parser and the inspector are loaded at the first capture that needs them.
 */
export type { CapturedFunction } from "./capture.js";
export { capture } from "./capture.js";
export { functionFieldsOf } from "./function-fields.js";
export type { CaptureHooks } from "./graph.js";
export { hashOf } from "./origins.js";
export type { External, JsonValue } from "./payload.js";
export { privateMemberOf } from "./private-members.js";
export { canonicalUrl, entryModule, importedModule } from "./program.js";
export type { CaptureObstacle, CaptureReport } from "./report.js";
export { inspectCapture } from "./report.js";
export type { ReviveHooks } from "./revive.js";
export { Reviver } from "./revive.js";
export { UserPositions } from "./user-positions.js";

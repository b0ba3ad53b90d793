import type { MessageType } from "../protocol/messages.js";

/** Frame types of the message connections of a cluster. A page of its own: nodes carry frames that they never read. */
export const FRAME = {
  envelope: 1,
  template: 2,
  attach: 3,
  push: 4,
  call: 5,
  answer: 6,
  handBack: 7,
  abort: 8,
} as const;

/** Control messages that synchronous code sends and gets on a connection of its own. */
export const FROM_STORES: ReadonlySet<MessageType> = new Set<MessageType>([
  "leaseExtent",
  "sealObject",
  "returnExtent",
]);
export const TO_STORES: ReadonlySet<MessageType> = new Set<MessageType>(["extentLeased", "extentRefused"]);

/**
 * Control messages that speak of somebody's end. What he had said before by connections of his own is heard before them:
 * answers, and calls whose arguments name refs.
 */
export const AFTER_LAST_WORDS: ReadonlySet<MessageType> = new Set<MessageType>([
  "actorState",
  "flushHolds",
  "leaseLost",
  "nodeLost",
]);

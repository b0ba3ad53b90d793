/** Which messages the machines call idempotent. The network repeats those, and only those. */
import type { MessageType } from "../src/protocol/messages.js";

/**
 * Messages whose repetition is an error of the sender, with the reason. Their streams deliver them once; everything
 * else may come twice in a row.
 */
const ONCE: ReadonlyMap<MessageType, string> = new Map<MessageType, string>([
  ["leaseExtent", "each is answered, with an extent"],
  ["extentLeased", "each is one answer, and adds an extent"],
  ["returnExtent", "what was given back is another's"],
  ["objectReady", "it counts a pin of the block, and so does its answer"],
  ["getObject", "each is answered, with a pin"],
  ["releaseBlock", "it counts"],
  ["createActor", "a constructor runs once"],
  ["jobStarted", "a driver's program starts once"],
  ["findActor", "each is answered"],
  ["actorFound", "each is one answer"],
  ["query", "each is answered"],
  ["answer", "each is one answer"],
  ["collected", "each is one answer"],
]);

export function isIdempotent(type: MessageType): boolean {
  return !ONCE.has(type);
}

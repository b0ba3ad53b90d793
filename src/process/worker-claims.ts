/**
 * A worker's claim words: mapped together with its raylet where both have the addon; else in memory that a second thread of
 * the worker shares, which does the raylet's part and is there before any user code (`recall-main.ts`).
 */
import { CLAIM_BYTES } from "../core/executor/claim-words.js";
import { ClaimFile } from "../io/claim-file.js";
import type { WorkerConfig } from "./config.js";
import { RECALL_FD, type RecallThreadData } from "./recall-pipe.js";

// It holds in the compiled tree and in the bundle, wherever in it this file's code lands.
const THREAD_ENTRY = new URL("../process/recall-main.js", import.meta.url);

/** Call it when the raylet can be reached: it has made the file then. */
export function mappedClaims({ claimsPath, claimsPlace }: WorkerConfig): Int32Array | undefined {
  return ClaimFile.open(claimsPath)?.wordsOf(claimsPlace);
}

/** Undefined when the words are mapped, or when the thread does not start: the worker gets one task at a time then. */
export async function threadedClaims({ claimsPath }: WorkerConfig): Promise<Int32Array | undefined> {
  if (claimsPath !== "") return undefined;
  const words = new SharedArrayBuffer(CLAIM_BYTES);
  const { Worker } = await import("node:worker_threads"); // 3 ms that most processes save
  const workerData = { words, fd: RECALL_FD } satisfies RecallThreadData;
  // Options of the worker's command line, such as loaders of user code, are not for it.
  const thread = new Worker(THREAD_ENTRY, { workerData, env: {}, execArgv: [], stdin: false });
  const isReady = await new Promise<boolean>((resolve) => {
    thread.once("message", () => resolve(true));
    thread.on("error", () => resolve(false));
    thread.once("exit", () => resolve(false));
  });
  thread.unref();
  return isReady ? new Int32Array(words) : undefined;
}

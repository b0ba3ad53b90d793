/**
 * In the child: never outlive the parent, whatever user code does.
 *
 * With the kernel's parent-death signal only the moment before it was armed is left to check. Where no `setpriv` has
 * armed it before the start, the addon does it here. Without either a thread polls the parent's pid and kills this
 * process; it must be up before user code runs, for a main thread in `for(;;);` starts no threads.
 */
import { loadNative } from "./native.js";

/** Set by `spawnNode`: the pid of the parent, and who watches it (`kernel` or `poll`). */
export const PARENT_VARIABLE = "MOBULA_PARENT_PID";
export const WATCH_VARIABLE = "MOBULA_PARENT_WATCH";

const POLL_MS = 50;

const WATCHDOG = `
const parent = require("node:worker_threads").workerData;
setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, "SIGKILL"); }, ${POLL_MS});
`;

/**
 * Resolves once this process cannot outlive its parent any more; call it before any user code. Does nothing in a
 * process that was not started by `spawnNode`, or with `dieWithParent: false`.
 */
export async function startWatchdog(): Promise<void> {
  const parent = Number(process.env[PARENT_VARIABLE]);
  const watch = process.env[WATCH_VARIABLE];
  // They speak of this process only; what user code starts has another parent.
  delete process.env[PARENT_VARIABLE];
  delete process.env[WATCH_VARIABLE];
  if (watch === undefined) return;
  const isArmed = watch !== "poll" || loadNative()?.dieWithParent() === true;
  if (process.ppid !== parent) process.kill(process.pid, "SIGKILL"); // it died before anybody watched
  if (isArmed) return;

  const { Worker } = await import("node:worker_threads"); // 3 ms that most processes save
  const watchdog = new Worker(WATCHDOG, { eval: true, workerData: parent, env: {}, execArgv: [], stdin: false });
  await new Promise<void>((resolve, reject) => watchdog.once("online", resolve).once("error", reject));
  watchdog.unref();
}

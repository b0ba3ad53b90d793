/**
 * Spawning raylets and workers as child processes, and making sure that a worker never outlives its raylet.
 *
 * A child that runs `for(;;);` never sees its IPC channel close, so something outside its main thread must kill it
 * when the parent is gone. Where util-linux's `setpriv` exists the kernel does it (parent-death signal, about 3 ms
 * after the parent's death, 1 to 2 ms of start-up); elsewhere the child sees to it, see `watchdog.ts`.
 *
 * Every child leads a process group of its own. Ctrl-C at a terminal goes to the driver's group alone, so the driver
 * can shut its cluster down in order; and what user code started in a worker dies with it, by the group.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, realpathSync, statSync } from "node:fs";
import type { Socket } from "node:net";
import { delimiter, join } from "node:path";
import type { Duplex } from "node:stream";
import { MAX_LOG_LINE_LENGTH, STDERR_TAIL_LINES } from "../base/limits.js";
import { LineSplitter } from "./lines.js";
import { PARENT_VARIABLE, WATCH_VARIABLE } from "./watchdog.js";

export interface SpawnOptions {
  readonly args?: readonly string[];
  /** The whole environment of the child; by default that of this process. */
  readonly env?: NodeJS.ProcessEnv;
  /** Options of Node itself, before the entry. */
  readonly execArgv?: readonly string[];
  readonly cwd?: string;
  /**
   * Whether the kernel or a watchdog kills the child when this process dies. Not for a head: it runs no user code,
   * sees its channel close, and has files to remove first. Default: true.
   */
  readonly dieWithParent?: boolean;
  /** Each line of its output. */
  readonly onLine?: (stream: "stdout" | "stderr", line: string) => void;
  /** Lines that a crash error must not quote. */
  readonly isMark?: (line: string) => boolean;
  /** Send its output to this open file instead: for a child that is to live on without us. */
  readonly outputFd?: number;
  /** One more pipe, both ways: the child's descriptor 4. */
  readonly withPipe?: boolean;
  /** A message over the IPC channel. */
  readonly onMessage?: (message: unknown) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines of its stderr: what a crash error quotes. */
  readonly stderrTail: readonly string[];
  /** It never ran, for this reason. */
  readonly error?: Error;
}

export interface Child {
  readonly process: ChildProcess;
  /** Undefined when it could not be started; `exited` says why. */
  readonly pid: number | undefined;
  /** Our end of the pipe that was asked for. Whoever asked reads it to its end. */
  readonly pipe: Duplex | undefined;
  /** Resolves once, after the last line of output. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Deliver what it has written of a line that it has not ended: it may never. */
  endLines(): void;
  /** Signal the child and everything it started. Harmless when it is gone. */
  kill(signal?: NodeJS.Signals): void;
  /** Let it live on without this process, which may exit now. */
  release(): void;
  /** Neither the child nor its channel nor its output keep this process alive. */
  unref(): void;
}

/** A dead child's output is waited for this long: a grandchild may hold the pipe open. */
const OUTPUT_GRACE_MS = 100;

/** Start Node with `entry`, a JavaScript file. */
export function spawnNode(entry: string, options: SpawnOptions = {}): Child {
  const env: NodeJS.ProcessEnv = { ...(options.env ?? process.env) };
  const node = [process.execPath, ...(options.execArgv ?? []), entry, ...(options.args ?? [])];
  const setpriv = options.dieWithParent === false ? undefined : findSetpriv();
  const [command, ...args] = setpriv === undefined ? node : [setpriv, "--pdeathsig", "KILL", "--", ...node];
  if (options.dieWithParent !== false) {
    env[PARENT_VARIABLE] = String(process.pid);
    env[WATCH_VARIABLE] = setpriv === undefined ? "poll" : "kernel";
  }

  const output = options.outputFd ?? "pipe";
  const child = spawn(command as string, args, {
    env,
    cwd: options.cwd,
    detached: true,
    stdio: ["ignore", output, output, "ipc", ...(options.withPipe === true ? (["pipe"] as const) : [])],
  });
  if (options.onMessage !== undefined) child.on("message", options.onMessage);
  const kill = (signal: NodeJS.Signals = "SIGKILL") => killGroup(child.pid, signal);
  const release = () => {
    if (child.connected) child.disconnect();
    child.unref();
  };
  const unref = () => {
    child.unref();
    child.channel?.unref();
    for (const output of [child.stdout, child.stderr]) (output as Socket | null)?.unref();
  };
  const pipe = (child.stdio[4] ?? undefined) as Duplex | undefined;
  return { process: child, pid: child.pid, pipe, ...watch(child, options, kill), kill, release, unref };
}

function watch(
  child: ChildProcess,
  { onLine, isMark }: SpawnOptions,
  kill: () => void,
): Pick<Child, "exited" | "endLines"> {
  const stderrTail: string[] = [];
  const stdout = new LineSplitter(MAX_LOG_LINE_LENGTH, (line) => onLine?.("stdout", line));
  const stderr = new LineSplitter(MAX_LOG_LINE_LENGTH, (line) => {
    if (isMark?.(line) !== true && stderrTail.push(line) > STDERR_TAIL_LINES) stderrTail.shift();
    onLine?.("stderr", line);
  });
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  const endLines = () => {
    stdout.end();
    stderr.end();
  };
  const exited = new Promise<Exit>((resolve) => {
    const report = (exit: Omit<Exit, "stderrTail">) => {
      endLines();
      resolve({ ...exit, stderrTail });
    };
    child.once("error", (error) => {
      if (child.pid === undefined) report({ code: null, signal: null, error });
    });
    child.once("exit", (code, signal) => {
      kill(); // what it started dies with it
      const grace = setTimeout(() => report({ code, signal }), OUTPUT_GRACE_MS);
      child.once("close", () => {
        clearTimeout(grace);
        report({ code, signal });
      });
    });
  });
  return { exited, endLines };
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // Gone; macOS says EPERM of a group whose members are all zombies.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

let setprivPath: string | undefined | false = false;

/**
 * A `setpriv` that knows `--pdeathsig`, looked up once without running anything: busybox and util-linux before 2.33
 * have the command but not the option, so the program file must contain its name.
 */
function findSetpriv(): string | undefined {
  if (setprivPath !== false) return setprivPath;
  setprivPath = undefined;
  if (process.platform !== "linux") return undefined;
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    try {
      const path = realpathSync(join(directory, "setpriv"));
      if (statSync(path).size < MAX_SETPRIV_BYTES && readFileSync(path).includes("pdeathsig")) {
        setprivPath = path;
        break;
      }
    } catch {
      // not in this directory
    }
  }
  return setprivPath;
}
/** busybox is one program of a megabyte; setpriv alone has some 80 KB. */
const MAX_SETPRIV_BYTES = 512 * 1024;

/**
 * The floor: what two Node processes can do at best over a Unix socket, when both decode each frame and encode a new
 * one, write once per turn of the event loop, and the caller keeps its pending calls in a Map. No promise, no object
 * per call. Every measurement of mobula is compared with it, in alternating windows of one run.
 *
 * The caller's side runs in the process that measures, as a driver does; the server is a process of its own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CALL, CPU_REPLY, CPU_REQUEST, FrameReader, FrameWriter, REPLY } from "./floor-frame.js";
import type { Window } from "./timing.js";

const SERVER = fileURLToPath(new URL("./floor-server.js", import.meta.url));
const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 2_000;
const FUNCTION_ID = 7;
const MAX_ID = 0xffff_ffff;

/** Starts the server process and connects it. `stop()` must be called: the socket keeps this process alive. */
export async function startFloor(): Promise<Floor> {
  const directory = mkdtempSync(join(tmpdir(), `mobula-floor-${process.pid}-`));
  const path = join(directory, "socket");
  const listener = createServer({ noDelay: true });
  try {
    await once(listener.listen(path), "listening");
    const child = spawn(process.execPath, [SERVER, path], { stdio: ["ignore", "ignore", "inherit"] });
    return new Floor(await firstConnection(listener, child), child);
  } finally {
    listener.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function firstConnection(listener: ReturnType<typeof createServer>, child: ChildProcess): Promise<Socket> {
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  const early = new AbortController();
  child.once("exit", (code) => early.abort(new Error(`the server of the floor exited early, with code ${code}`)));
  child.once("error", (error) => early.abort(error));
  try {
    const [socket] = (await once(listener, "connection", { signal: AbortSignal.any([signal, early.signal]) })) as [
      Socket,
    ];
    return socket;
  } catch (error) {
    child.kill("SIGKILL");
    throw early.signal.aborted ? early.signal.reason : error;
  }
}

/** One measurement in progress. */
interface Run {
  readonly deadlineMs: number;
  readonly done: (error?: Error) => void;
  ops: number;
  submitting: boolean;
}

export class Floor {
  readonly #socket: Socket;
  readonly #child: ChildProcess;
  readonly #writer: FrameWriter;
  /** Calls without a reply: id → argument, to which the reply must be the successor. */
  readonly #pending = new Map<number, number>();
  #lastId = 0;
  #run: Run | undefined;
  #cpuWaiter: ((serverCpuUs: number) => void) | undefined;
  #measuring = false;
  #closed = false;

  constructor(socket: Socket, child: ChildProcess) {
    this.#socket = socket;
    this.#child = child;
    this.#writer = new FrameWriter(socket);
    const reader = new FrameReader((type, id, _function, _counter, value) => {
      if (type === REPLY) this.#reply(id, value);
      else if (type === CPU_REPLY) this.#cpuWaiter?.(value);
    });
    socket.on("data", (chunk) => {
      reader.push(chunk);
      this.#endTurn();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#closed = true;
      this.#run?.done(new Error("the server of the floor is gone"));
      this.#cpuWaiter?.(Number.NaN);
    });
  }

  runOneAtATime(durationMs: number): Promise<Window> {
    return this.runInFlight(1, durationMs);
  }

  /** Keeps `inFlight` calls pending for the duration; the window ends when the last of them has its reply. */
  async runInFlight(inFlight: number, durationMs: number): Promise<Window> {
    if (this.#measuring) throw new Error("the floor measures one window at a time");
    this.#measuring = true;
    try {
      const cpuBeforeUs = await this.#cpuUs();
      const startMs = performance.now();
      const ops = await this.#keepInFlight(inFlight, startMs + durationMs);
      const elapsedMs = performance.now() - startMs;
      return { ops, elapsedMs, cpuUs: (await this.#cpuUs()) - cpuBeforeUs };
    } finally {
      this.#measuring = false;
    }
  }

  /** Ends the server process. Idempotent. */
  async stop(): Promise<void> {
    this.#socket.end();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await once(this.#child, "exit");
    clearTimeout(timer);
  }

  #keepInFlight(inFlight: number, deadlineMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error) => {
        this.#run = undefined;
        this.#pending.clear();
        if (error === undefined) resolve(run.ops);
        else reject(error);
      };
      const run: Run = { deadlineMs, done, ops: 0, submitting: true };
      if (this.#closed) return done(new Error("the floor is stopped"));
      this.#run = run;
      for (let i = 0; i < inFlight; i++) this.#call();
      this.#writer.flush();
    });
  }

  #call(): void {
    const id = this.#lastId === MAX_ID ? 0 : this.#lastId + 1;
    this.#lastId = id;
    this.#pending.set(id, id);
    this.#writer.add(CALL, id, FUNCTION_ID, id, id);
  }

  #reply(id: number, value: number): void {
    const argument = this.#pending.get(id);
    const run = this.#run;
    if (run === undefined || argument === undefined || value !== argument + 1) {
      throw new Error(`the floor got ${value} for call ${id}`);
    }
    this.#pending.delete(id);
    run.ops++;
    if (run.submitting) this.#call();
  }

  #endTurn(): void {
    const run = this.#run;
    if (run !== undefined) {
      if (run.submitting && performance.now() >= run.deadlineMs) run.submitting = false;
      if (!run.submitting && this.#pending.size === 0) run.done();
    }
    this.#writer.flush();
  }

  /** CPU time that both processes have used since they started. */
  async #cpuUs(): Promise<number> {
    if (this.#closed) throw new Error("the floor is stopped");
    const server = await new Promise<number>((resolve) => {
      this.#cpuWaiter = resolve;
      this.#writer.add(CPU_REQUEST, 0, 0, 0, 0);
      this.#writer.flush();
    });
    this.#cpuWaiter = undefined;
    if (Number.isNaN(server)) throw new Error("the server of the floor is gone");
    const { user, system } = process.cpuUsage();
    return user + system + server;
  }
}

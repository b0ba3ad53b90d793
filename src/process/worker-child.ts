/** One worker process as a child: how it is started, and its output from the first line on. */
import type { ProcessRef } from "../base/ids.js";
import { MAX_OUTPUT_NAME_LENGTH } from "../base/limits.js";
import { type Child, spawnNode } from "../io/spawn.js";
import type { OutputLine } from "../protocol/messages.js";
import { configEnvironment, type NodeConfig, type NodePlaces } from "./config.js";
import { nameOfMark } from "./output-marks.js";

/** A line that it wrote. `name`: of the task or actor that did, as the worker says. */
type OnLine = (line: OutputLine) => void;

/** Claim words of a node's first worker, which is started before there is anybody who gives places. */
export const FIRST_PLACE = 0;

export class WorkerChild {
  readonly ref: ProcessRef;
  readonly child: Child;
  /** What it said before anybody listened. */
  #early: OutputLine[] | undefined = [];
  #onLine: OnLine = (line) => void this.#early?.push(line);
  readonly #names = { stdout: "", stderr: "" };

  /** `claimsPlace`: where in the file of claim words it has its own. */
  constructor(config: NodeConfig, places: NodePlaces, ref: ProcessRef, claimsPlace: number) {
    const { clusterId, secretHex, workerEntry, execArgv, objectStoreBytes } = config;
    const { rayletPath, arenaPath, fallbackPath, socketsDirectory, claimsPath } = places;
    const socketPath = `${socketsDirectory}/w-${ref.processId}.sock`;
    const arena = { arenaPath, fallbackPath, arenaBytes: objectStoreBytes };
    const where = { rayletPath, socketPath, ...arena, claimsPath, claimsPlace };
    this.ref = ref;
    this.child = spawnNode(workerEntry, {
      execArgv: [...execArgv, "--disable-warning=ExperimentalWarning"],
      env: { ...process.env, ...configEnvironment({ ...ref, clusterId, secretHex, ...where }) },
      onLine: (stream, text) => this.#line(stream, text),
      withPipe: claimsPath === "",
      isMark: (line) => nameOfMark(line) !== undefined,
    });
  }

  listen(onLine: OnLine): void {
    this.#onLine = onLine;
    for (const line of this.#early ?? []) onLine(line);
    this.#early = undefined;
  }

  #line(stream: OutputLine["stream"], text: string): void {
    const marked = nameOfMark(text);
    if (marked !== undefined) this.#names[stream] = marked.slice(0, MAX_OUTPUT_NAME_LENGTH);
    else this.#onLine({ pid: this.child.pid ?? 0, name: this.#names[stream], stream, text });
  }
}

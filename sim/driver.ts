/** A virtual driver: attaches to a node, runs its program once the GCS has given it a job. */
import { contextOfDriver, GCS, type ProcessRef } from "../src/base/ids.js";
import type { Message } from "../src/protocol/messages.js";
import { ClusterApi } from "./cluster-api.js";
import { OwnerProcess } from "./owner-process.js";
import type { Api, Script } from "./program.js";
import { failureOf, ScriptRunner } from "./script-runner.js";
import type { Surroundings } from "./surroundings.js";
import type { VirtualNode } from "./virtual-node.js";

export class Driver extends OwnerProcess {
  readonly #program: (api: Api) => Script<void>;
  /** What escaped from the program: a bug of the program or of the machines. */
  failure: unknown;
  finished = false;
  #runner: ScriptRunner<void> | undefined;

  constructor(
    around: Surroundings,
    name: string,
    ref: ProcessRef,
    node: VirtualNode,
    program: (api: Api) => Script<void>,
  ) {
    super(around, name, ref, "driver", node);
    this.#program = program;
    this.enter(() => this.send(GCS, { type: "attachDriver", namespace: "sim", showsOutput: true }));
  }

  get waitsFor(): string {
    return this.#runner?.waitsFor ?? "its job";
  }

  protected override receiveForRole(message: Message): void {
    if (message.type !== "jobStarted" || this.jobId !== "") return; // said again to a driver that attached twice
    this.jobId = message.jobId;
    const api = new ClusterApi(this, contextOfDriver(message.jobId), 0);
    const runner = new ScriptRunner(this, api, this.#program(api), {
      block: () => {},
      resume: () => {},
      returned: () => this.#ended(api, undefined),
      threw: (error) => this.#ended(api, error),
    });
    this.#runner = runner;
    runner.run();
  }

  #ended(api: ClusterApi, failure: unknown): void {
    if (failure !== undefined && failureOf(failure) === undefined) throw failure;
    api.dropAll();
    this.failure = failure;
    this.finished = true;
    this.world.note(this.name, "program ended", () => String(failure ?? ""));
  }
}

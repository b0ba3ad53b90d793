/** What workers of this driver's job print, on the driver's own stdout and stderr. */
import { rayletOf } from "../base/ids.js";
import { OUTPUT_PATIENCE_MS } from "../base/limits.js";
import { DriverOutput } from "../core/driver-output.js";
import { nowMs } from "../process/clock.js";
import type { CoreProcess } from "../process/core-process.js";
import type { Message } from "../protocol/messages.js";
import type { Runtime } from "./runtime.js";

export class OutputWindow {
  readonly #core: CoreProcess;
  readonly #output = new DriverOutput({
    write: (stream, line) => void process[stream].write(`${line}\n`),
    wakeUpAfter: (delayMs) => void setTimeout(() => this.#output.tick(nowMs()), delayMs).unref(),
  });
  readonly #onExit = () => this.#output.end();

  constructor(core: CoreProcess) {
    this.#core = core;
    process.once("exit", this.#onExit);
  }

  receive(message: Message): void {
    if (message.type !== "workerOutput") return;
    const { jobId, nodeId, sequence } = message;
    this.#output.receive(message, nowMs());
    this.#core.raylet.send(rayletOf(nodeId), { type: "outputShown", jobId, sequence });
  }

  /** The driver leaves: what its workers wrote until now is shown first, if that does not take too long. */
  async close(runtime: Runtime): Promise<void> {
    let patience: NodeJS.Timeout | undefined;
    const impatient = new Promise<void>((resolve) => {
      patience = setTimeout(resolve, OUTPUT_PATIENCE_MS);
    });
    const answered = runtime.query("output", this.#core.jobId).then(
      () => {},
      () => {},
    );
    await Promise.race([answered, impatient]);
    clearTimeout(patience);
    process.off("exit", this.#onExit);
    this.#output.end();
  }
}

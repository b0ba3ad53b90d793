/** Progress of a job: an actor that tasks on every node report to, and a bar that shows what it knows. */
import * as ray from "mobula";

class ProgressActor {
  #portions = 0;
  #bytes = 0;
  #waiting: (() => void)[] = [];

  portionDone(bytes: number): void {
    this.#portions++;
    this.#bytes += bytes;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** What is done, as soon as it is more than `portions`. Other calls go on meanwhile. */
  async beyond(portions: number): Promise<{ portions: number; bytes: number }> {
    while (this.#portions <= portions) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    return { portions: this.#portions, bytes: this.#bytes };
  }
}

/** It only counts: no task should wait for the CPU that an actor otherwise needs to be placed. */
export const Progress = ray.remote({ numCpus: 0 }, ProgressActor);

const BAR_WIDTH = 40;

/** A bar that is redrawn in place on a terminal; elsewhere a line for each quarter. */
export function progressBar(label: string, total: number, output: NodeJS.WriteStream): (done: number) => void {
  let shownQuarter = 0;
  return (done) => {
    const part = total === 0 ? 1 : done / total;
    const percent = `${Math.floor(100 * part)} %`.padStart(5);
    if (output.isTTY) {
      const filled = Math.floor(BAR_WIDTH * part);
      output.write(
        `\r${label} [${"█".repeat(filled)}${"·".repeat(BAR_WIDTH - filled)}] ${percent}${part < 1 ? "" : "\n"}`,
      );
      return;
    }
    const quarter = Math.floor(4 * part);
    if (quarter > shownQuarter) output.write(`${label} ${percent}\n`);
    shownQuarter = Math.max(shownQuarter, quarter);
  };
}

/**
 * Files that user code makes and looks for: how synchronous code of one process waits for what another one does. One process
 * of a world waits at a time; time passes for all others meanwhile, inside of its turn.
 */
export class Files {
  readonly #names = new Set<string>();
  #isAwaited = false;
  /** How many waits ended with the file, and without it. */
  found = 0;
  missed = 0;

  make(name: string): void {
    this.#names.add(name);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** `hold` keeps the thread until the file is there, its time is up, or its process is dead. */
  await(name: string, hold: (isThere: () => boolean) => void): void {
    if (this.#isAwaited) return;
    this.#isAwaited = true;
    hold(() => this.has(name));
    this.#isAwaited = false;
    if (this.has(name)) this.found++;
    else this.missed++;
  }
}

/** Events by virtual time; events of the same time come in an order that the seed draws. */

export interface Timer {
  readonly atMs: number;
  /** Drawn by the seed: what decides between events of the same time. */
  readonly tie: number;
  readonly number: number;
  /** Undefined once it has happened or was cancelled. */
  action: (() => void) | undefined;
}

/** A binary heap: the world takes half a million events out of it for a handful of seeds. */
export class EventQueue {
  readonly #heap: Timer[] = [];

  get length(): number {
    return this.#heap.length;
  }

  add(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Timer;
      if (!isBefore(timer, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = timer;
  }

  /** The next event that has not been cancelled. */
  take(): Timer | undefined {
    for (let first = this.#takeFirst(); first !== undefined; first = this.#takeFirst()) {
      if (first.action !== undefined) return first;
    }
    return undefined;
  }

  #takeFirst(): Timer | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Timer)) child++;
      if (!isBefore(heap[child] as Timer, last)) break;
      heap[at] = heap[child] as Timer;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.tie !== b.tie ? a.tie < b.tie : a.number < b.number;
}

/**
 * Lease requests whose arguments are here, by shape: requests of one shape ask for the same amounts, so when the first
 * of a shape does not fit, none does, and nobody looks at the others. Within a shape deeper tasks come first.
 */
import type { LeaseId } from "../../base/ids.js";
import type { LeaseRequest } from "../../protocol/messages.js";

interface Shape {
  peek(): LeaseRequest | undefined;
  readonly size: number;
}

class ShapeQueue implements Shape {
  /** By depth, deepest first; each in order of arrival. Removed requests leave the set, not the array. */
  readonly #byDepth = new Map<number, LeaseRequest[]>();
  readonly #present = new Set<LeaseId>();
  #depths: number[] = [];

  get size(): number {
    return this.#present.size;
  }

  add(request: LeaseRequest): void {
    this.#present.add(request.leaseId);
    const queue = this.#byDepth.get(request.depth);
    if (queue !== undefined) {
      queue.push(request);
      return;
    }
    this.#byDepth.set(request.depth, [request]);
    this.#depths = [...this.#byDepth.keys()].sort((a, b) => b - a);
  }

  remove(leaseId: LeaseId): void {
    this.#present.delete(leaseId);
  }

  has(leaseId: LeaseId): boolean {
    return this.#present.has(leaseId);
  }

  peek(): LeaseRequest | undefined {
    for (const depth of this.#depths) {
      const queue = this.#byDepth.get(depth) ?? [];
      while (queue.length > 0) {
        const first = queue[0];
        if (first !== undefined && this.#present.has(first.leaseId)) return first;
        queue.shift();
      }
    }
    return undefined;
  }
}

export class ReadyQueue {
  readonly #shapes = new Map<string, ShapeQueue>();

  add(request: LeaseRequest): void {
    const key = shapeOf(request);
    const shape = this.#shapes.get(key) ?? new ShapeQueue();
    this.#shapes.set(key, shape);
    shape.add(request);
  }

  remove(request: LeaseRequest): void {
    const key = shapeOf(request);
    const shape = this.#shapes.get(key);
    shape?.remove(request.leaseId);
    if (shape?.size === 0) this.#shapes.delete(key);
  }

  has(request: LeaseRequest): boolean {
    return this.#shapes.get(shapeOf(request))?.has(request.leaseId) ?? false;
  }

  hasShapeOf(request: LeaseRequest): boolean {
    return this.#shapes.has(shapeOf(request));
  }

  shapes(): readonly Shape[] {
    return [...this.#shapes.values()];
  }
}

/** Requests that ask for the same: amounts, and whether the worker may be shared. */
function shapeOf(request: LeaseRequest): string {
  const amounts = [...request.demand].map(([name, amount]) => `${name}=${amount}`).sort();
  return `${request.jobId} ${request.exclusive ? "exclusive" : "shared"} ${amounts.join(" ")}`;
}

/**
 * A broadcast over links with bandwidth: every node has one of its own, which its pullers share.
 *
 * The real object table says where each node pulls from. What the shells do is played here piece by piece: a node sends
 * on a piece once it has it, and each puller has at most two pieces under way.
 */
import { assert } from "../src/base/assert.js";
import type { NodeId, ObjectId, ProcessId } from "../src/base/ids.js";
import { TRANSFER_CHUNK_BYTES } from "../src/base/limits.js";
import { ObjectTable } from "../src/core/gcs/object-table.js";
import { World } from "./world.js";

/** 10 Gbit/s, and the way of a message. */
const BYTES_PER_MS = 1_250_000;
const DELAY_MS = 0.1;
const PIECE_MS = TRANSFER_CHUNK_BYTES / BYTES_PER_MS;
const PIECES_UNDER_WAY = 2;
const LIMIT_MS = 60_000;

const OBJECT = "c".repeat(36) as ObjectId;
const SOURCE = "source" as NodeId;

interface Pull {
  readonly node: NodeId;
  readonly from: NodeId;
  /** Pieces that its source has begun to send. */
  asked: number;
}

class Broadcast {
  readonly #world: World;
  readonly #pieces: number;
  readonly #table: ObjectTable;
  readonly #pulls: Pull[] = [];
  /** Pieces that each node has. */
  readonly #have = new Map<NodeId, number>();
  readonly #linkFreeMs = new Map<NodeId, number>();
  readonly sentPieces = new Map<NodeId, number>();

  constructor(world: World, sizeBytes: number) {
    this.#world = world;
    this.#pieces = Math.ceil(sizeBytes / TRANSFER_CHUNK_BYTES);
    this.#table = new ObjectTable({
      objectAvailable: (node, _object, _entry, { locations }) => this.#begin(node, locations[0]),
      objectGone: () => assert(false, "nobody loses the object"),
      freeObject: () => {},
      becomePrimary: () => {},
      promoteResult: () => {},
      unreachable: () => {},
      lostIsWanted: () => assert(false, "nobody loses the object"),
    });
    this.#have.set(SOURCE, this.#pieces);
    this.#register(SOURCE, "driver" as ProcessId);
  }

  /** All these nodes want it now. Says how long it takes until the last one has it. */
  run(nodes: readonly NodeId[]): number {
    const startMs = this.#world.nowMs;
    for (const node of nodes) this.#world.after(DELAY_MS, () => this.#table.subscribe(node, OBJECT, true));
    const done = () => nodes.every((node) => this.#have.get(node) === this.#pieces);
    assert(this.#world.run(done, LIMIT_MS), "every node gets the object");
    this.#table.check();
    return this.#world.nowMs - startMs;
  }

  #register(node: NodeId, holder: ProcessId | undefined): void {
    this.#table.register(node, OBJECT, this.#pieces * TRANSFER_CHUNK_BYTES, holder, []);
  }

  #begin(node: NodeId, from: NodeId | undefined): void {
    assert(from !== undefined, "a puller is sent somewhere");
    this.#have.set(node, 0);
    const pull = { node, from, asked: 0 };
    this.#pulls.push(pull);
    this.#sendMore(pull);
  }

  /** The source sends what it has, over its one link, in the order in which it is asked. */
  #sendMore(pull: Pull): void {
    const { node, from } = pull;
    const mayAsk = () => pull.asked - (this.#have.get(node) ?? 0) < PIECES_UNDER_WAY;
    while (pull.asked < (this.#have.get(from) ?? 0) && mayAsk()) {
      pull.asked++;
      this.sentPieces.set(from, (this.sentPieces.get(from) ?? 0) + 1);
      const freeMs = Math.max(this.#world.nowMs, this.#linkFreeMs.get(from) ?? 0) + PIECE_MS;
      this.#linkFreeMs.set(from, freeMs);
      this.#world.at(freeMs + DELAY_MS, () => this.#arrived(pull));
    }
  }

  #arrived(pull: Pull): void {
    const have = (this.#have.get(pull.node) ?? 0) + 1;
    this.#have.set(pull.node, have);
    if (have === this.#pieces) this.#register(pull.node, undefined);
    this.#sendMore(pull);
    for (const behind of this.#pulls) if (behind.from === pull.node) this.#sendMore(behind);
  }
}

export interface BroadcastResult {
  readonly togetherMs: number;
  /** So many transfers, one after the other, each alone on the links. */
  readonly separateMs: number;
  /** Copies that the node has sent that sent most. */
  readonly mostSent: number;
}

export function simulateBroadcast(seed: number, sizeBytes: number, receivers: number): BroadcastResult {
  const nodes = Array.from({ length: receivers }, (_, i) => `w${i}` as NodeId);
  const together = new Broadcast(new World(seed), sizeBytes);
  const togetherMs = together.run(nodes);
  const separateMs = nodes.reduce((sum, node) => sum + new Broadcast(new World(seed), sizeBytes).run([node]), 0);
  const most = Math.max(...together.sentPieces.values());
  return { togetherMs, separateMs, mostSent: most / Math.ceil(sizeBytes / TRANSFER_CHUNK_BYTES) };
}

/**
 * Checksums of transfers: with the addon CRC-32C, at the speed of memory, without it CRC-32. The two ends of a connection
 * agree on one that both have.
 */
import { type Crc32, loadCrc32 } from "./crc32.js";
import { loadNative, type Native } from "./native.js";

/** As `Crc32`, of either kind. */
export type Checksum = Crc32;

/** What a process can compute, by the number that names each on the wire; a set of them is the sum. */
export const CRC32 = 1;
export const CRC32C = 2;

export class Checksums {
  readonly #byNumber: ReadonlyMap<number, Checksum>;

  private constructor(byNumber: ReadonlyMap<number, Checksum>) {
    this.#byNumber = byNumber;
  }

  static async load(
    { native }: { readonly native: Native | undefined } = { native: loadNative() },
  ): Promise<Checksums> {
    const byNumber = new Map([[CRC32, await loadCrc32()]]);
    if (native !== undefined) byNumber.set(CRC32C, (bytes, before) => native.crc32c(bytes, before));
    return new Checksums(byNumber);
  }

  /** All that this process has, for the peer to choose from. */
  get offer(): number {
    let offer = 0;
    for (const number of this.#byNumber.keys()) offer |= number;
    return offer;
  }

  /** The best of what the peer offers that this process has too. CRC-32 everybody has. */
  choose(offer: number): number {
    return (offer & CRC32C) !== 0 && this.#byNumber.has(CRC32C) ? CRC32C : CRC32;
  }

  get(number: number): Checksum | undefined {
    return this.#byNumber.get(number);
  }
}

let fastest: Checksum | undefined;

/** For checksums that no other process sees. */
export async function fastestChecksum(): Promise<Checksum> {
  const native = loadNative();
  fastest ??= native === undefined ? await loadCrc32() : (bytes, before) => native.crc32c(bytes, before);
  return fastest;
}

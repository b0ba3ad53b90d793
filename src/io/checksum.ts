/**
 * Checksums of bulk data. With the addon CRC-32C, at the speed of memory; without it CRC-32: zlib's where Node offers
 * it (20.15, 22.2 and later), else a table of our own. The two ends of a connection agree on one that both have.
 */
import { loadNative, type Native } from "./native.js";

/** The checksum of `bytes` that follow bytes with checksum `before` (0: nothing before). */
export type Checksum = (bytes: Uint8Array, before: number) => number;

/** What a process can compute, by the number that names each on the wire; a set of them is the sum. */
export const CRC32 = 1;
export const CRC32C = 2;

export class Checksums {
  readonly #byNumber: ReadonlyMap<number, Checksum>;

  private constructor(byNumber: ReadonlyMap<number, Checksum>) {
    this.#byNumber = byNumber;
  }

  /** Loaded when first needed: zlib costs a process 3 ms of start-up. */
  static async load(
    { native }: { readonly native: Native | undefined } = { native: loadNative() },
  ): Promise<Checksums> {
    const zlib: { crc32?: Checksum } = await import("node:zlib");
    const byNumber = new Map([[CRC32, zlib.crc32 ?? slowCrc32]]);
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

let table: Uint32Array | undefined;

export function slowCrc32(bytes: Uint8Array, before: number): number {
  table ??= makeTable();
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) {
    crc = (table[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc;
  });
}

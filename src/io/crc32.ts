/** CRC-32 of bulk data: zlib's where Node offers it (20.15, 22.2 and later), else a table of our own. */

/** The checksum of `bytes` that follow bytes with checksum `before` (0: nothing before). */
export type Crc32 = (bytes: Uint8Array, before: number) => number;

/** Loaded when first needed: zlib costs a process 3 ms of start-up. */
export async function loadCrc32(): Promise<Crc32> {
  const zlib: { crc32?: Crc32 } = await import("node:zlib");
  return zlib.crc32 ?? slowCrc32;
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

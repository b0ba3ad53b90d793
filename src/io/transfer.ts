import type { Address } from "./address.js";
import type { Arena } from "./arena.js";
import type { Connection } from "./connection.js";
export class TransferServer {
  constructor(_a: Arena, _b: { open(id: string): { offset: number; sizeBytes: number } | undefined; close(id: string): void }) {}
  serve(_c: Connection): void {}
}
export class TransferClient {
  constructor(_o: unknown) {}
  async pull(_a: Address, _i: string, _s: number, _arena: Arena, _o: number): Promise<void> { throw new Error("stub"); }
  close(): void {}
}

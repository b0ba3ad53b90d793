/** Where a process listens, and how that is written: `unix:/path` or `host:port` (IPv6 hosts in brackets). */
import { InvalidOptionError } from "../errors.js";

export type Address = { readonly unixPath: string } | { readonly host: string; readonly port: number };

export function formatAddress(address: Address): string {
  if ("unixPath" in address) return `unix:${address.unixPath}`;
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** @throws InvalidOptionError when the text is no address. */
export function parseAddress(text: string): Address {
  if (text.startsWith("unix:/")) return { unixPath: text.slice("unix:".length) };
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:/\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new InvalidOptionError(`"${text}" is not an address; expected host:port or unix:/path`);
  }
  return { host, port };
}

/**
 * Two nodes on one host: the puller maps the peer's arena and copies from there, once, instead of through a socket.
 *
 * Both must run as the same user of the same running kernel, and the file that the peer names must be the one that the
 * peer has open, which a container with a file system of its own may not see.
 */
import { readFileSync, statSync } from "node:fs";
import { MAX_PEER_PATH_BYTES } from "../base/limits.js";
import { Arena } from "./arena.js";

/** Where an object lies on this host, for a puller that can map it. */
export interface HostPlace {
  readonly path: string;
  readonly inode: number;
  readonly capacity: number;
  readonly offset: number;
}

/** What is the same for processes that may map each other's files; empty where that is unknown. */
export function hostIdentity(): string {
  try {
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}:${process.getuid?.()}`;
  } catch {
    return "";
  }
}

/** The place of a block of our own arena for others on this host; undefined when it has none that they could map. */
export function placeOnHost(arena: Arena, offset: number, sizeBytes: number): HostPlace | undefined {
  if (arena.readable(offset, sizeBytes) === undefined) return undefined;
  if (Buffer.byteLength(arena.path) > MAX_PEER_PATH_BYTES) return undefined;
  const inode = inodeOf(arena.path);
  return inode === undefined ? undefined : { path: arena.path, inode, capacity: arena.capacity, offset };
}

/** The peer's arena, or undefined when it is not the file of that name here. */
export function openPeer({ path, inode, capacity }: HostPlace): Arena | undefined {
  if (inodeOf(path) !== inode) return undefined;
  try {
    return Arena.open(path, capacity);
  } catch {
    return undefined; // it belongs to somebody else
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

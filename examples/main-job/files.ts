/** The input of the word count: which files there are, cut into portions of about the same size. */
import { readdirSync, statSync } from "node:fs";
import { extname, join, resolve } from "node:path";

export interface InputFile {
  readonly path: string;
  readonly bytes: number;
}

/** What one map task counts: whole files, because words end where files do. */
export interface Portion {
  readonly paths: readonly string[];
  readonly bytes: number;
}

const MIB = 1024 * 1024;
const EXTENSIONS = new Set([".md", ".txt", ".js", ".ts", ".json"]);
const MAX_FILE_BYTES = 10 * MIB;
/** Enough portions that nobody waits long for the last one, and few enough that each is worth a task. */
const PORTIONS = 24;
const MIN_PORTION_BYTES = MIB / 4;
const MAX_PORTION_BYTES = 4 * MIB;

/** Every text file of at most 10 MiB below `directory`, in the order of their paths. Links are not followed. */
export function findFiles(directory: string): InputFile[] {
  const root = resolve(directory); // workers need not share this process's working directory
  const files: InputFile[] = [];
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !EXTENSIONS.has(extname(entry.name))) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = statSync(path).size;
    if (bytes <= MAX_FILE_BYTES) files.push({ path, bytes });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

export function totalBytes(files: readonly InputFile[]): number {
  return files.reduce((sum, file) => sum + file.bytes, 0);
}

/** Cut the files into portions of a few MiB; a file that is larger makes a portion of its own. */
export function cutIntoPortions(files: readonly InputFile[]): Portion[] {
  const wanted = Math.min(MAX_PORTION_BYTES, Math.max(MIN_PORTION_BYTES, totalBytes(files) / PORTIONS));
  const portions: Portion[] = [];
  let paths: string[] = [];
  let bytes = 0;
  const close = () => {
    if (paths.length > 0) portions.push({ paths, bytes });
    paths = [];
    bytes = 0;
  };
  for (const file of files) {
    if (bytes + file.bytes > wanted) close();
    paths.push(file.path);
    bytes += file.bytes;
  }
  close();
  return portions.sort((a, b) => b.bytes - a.bytes); // the largest first: the small ones fill the gaps at the end
}

/** The word count as a job: map tasks count portions, reduce tasks bring together what belongs together. */
import * as ray from "mobula";
import type { Portion } from "./files.js";
import { Progress } from "./progress.js";
import { countWords, type Packed, pack, partition, unpack, type WordCounts } from "./words.js";

export interface JobResult {
  readonly counts: WordCounts;
  readonly mapTasks: number;
  readonly reduceTasks: number;
}

/** Reduce tasks. More than CPUs, so that one with much to do does not keep all waiting. */
const PARTITIONS = 4;

type Reporter = ReturnType<typeof Progress.remote>;

/** Count one portion; one result for each reduce task. The actor is told, and nobody waits for that. */
const mapPortion = ray.remote(function mapPortion(portion: Portion, progress: Reporter): Packed[] {
  const parts = partition(countWords(portion.paths), PARTITIONS);
  progress.portionDone.remote(portion.bytes);
  return parts;
});

/** Everything about the words of one partition, from all portions. */
const reducePartition = ray.remote(function reducePartition(...parts: Packed[]): Packed {
  const counts: WordCounts = new Map();
  for (const part of parts) unpack(part, counts);
  return pack(counts);
});

/** `onProgress` is called with what is done, in bytes, whenever the actor has heard of more. */
export async function countInCluster(
  portions: readonly Portion[],
  onProgress: (bytes: number) => void,
): Promise<JobResult> {
  using progress = Progress.remote();
  const map = mapPortion.options({ numReturns: PARTITIONS });
  const mapped = portions.map((portion) => map.remote(portion, progress));
  // The shuffle: refs are passed on before there are values, and the values go from where they were made to where
  // they are needed.
  const reduced = Array.from({ length: PARTITIONS }, (_, i) =>
    reducePartition.remote(...mapped.map((parts) => parts[i] as ray.ObjectRef<Packed>)),
  );
  const failed = new AbortController();
  const watching = watch(progress, portions.length, failed.signal, onProgress);
  try {
    const results = await ray.get(reduced);
    await watching;
    const counts: WordCounts = new Map();
    for (const packed of results) unpack(packed, counts);
    return { counts, mapTasks: mapped.length, reduceTasks: reduced.length };
  } finally {
    failed.abort();
    await watching.catch(() => {}); // the job's own error is the one to report
  }
}

/** Ask the actor again and again for what is new; it answers when there is something. */
async function watch(
  progress: Reporter,
  portions: number,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<void> {
  for (let done = 0; done < portions; ) {
    const state = await ray.get(progress.beyond.remote(done), { signal });
    done = state.portions;
    onProgress(state.bytes);
  }
}

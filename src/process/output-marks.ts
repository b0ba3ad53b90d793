/**
 * Whose output a worker writes: it says so itself, in the stream, because nobody else knows. Owners push tasks straight
 * to workers, and tasks of one worker may take turns.
 *
 * A mark is a line of its own: it names the task or actor of the lines that follow on that stream. It is written when
 * the name has changed and something is printed; a task that prints nothing pays nothing. What does not go through
 * `process.stdout` and `process.stderr` (a child process, a file descriptor) counts for the task that printed last.
 */
import { MAX_OUTPUT_NAME_LENGTH } from "../base/limits.js";

/** Begins a mark. A control character that nobody prints. */
const MARK = "\u001emobula:name ";
type Stream = "stdout" | "stderr";

/** From now on, what this process prints is marked with the name that `nameNow` gives at that moment. */
export function markOutput(nameNow: () => string): void {
  for (const stream of ["stdout", "stderr"] as const) markWhenUsed(stream, nameNow);
  // Node's own words about an error that nobody caught do not go through the stream.
  process.on("uncaughtExceptionMonitor", () => process.stderr.write(""));
}

/** The name that a line of output announces; undefined for an ordinary line. */
export function nameOfMark(line: string): string | undefined {
  return line.startsWith(MARK) ? line.slice(MARK.length) : undefined;
}

/** Node makes a process's streams when they are first used, and most workers print nothing. */
function markWhenUsed(name: Stream, nameNow: () => string): void {
  const lazy = Object.getOwnPropertyDescriptor(process, name)?.get;
  if (lazy === undefined) return markStream(process[name], nameNow);
  let stream: NodeJS.WriteStream | undefined;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get: () => {
      if (stream !== undefined) return stream;
      stream = Reflect.apply(lazy, process, []) as NodeJS.WriteStream;
      markStream(stream, nameNow);
      return stream;
    },
  });
}

function markStream(stream: NodeJS.WriteStream, nameNow: () => string): void {
  const write = stream.write as (...args: unknown[]) => boolean;
  let marked = "";
  let atLineStart = true;
  const markedWrite = (...args: unknown[]): boolean => {
    const name = nameNow();
    if (name !== marked) {
      // A line that another task has begun ends here.
      Reflect.apply(write, stream, [`${atLineStart ? "" : "\n"}${MARK}${oneLine(name)}\n`]);
      marked = name;
      atLineStart = true;
    }
    atLineStart = endsLine(args[0]) ?? atLineStart;
    return Reflect.apply(write, stream, args) as boolean;
  };
  Object.defineProperty(stream, "write", { value: markedWrite, writable: true, configurable: true });
}

/** Whether what is written ends with a line; undefined when it is nothing. */
function endsLine(chunk: unknown): boolean | undefined {
  if (typeof chunk === "string") return chunk === "" ? undefined : chunk.endsWith("\n");
  if (!(chunk instanceof Uint8Array) || chunk.length === 0) return undefined;
  return chunk[chunk.length - 1] === 0x0a;
}

function oneLine(name: string): string {
  return name.replaceAll(/\p{Cc}+/gu, " ").slice(0, MAX_OUTPUT_NAME_LENGTH);
}

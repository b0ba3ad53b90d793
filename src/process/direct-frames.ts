/**
 * The data plane between an owner and a worker: tasks, calls and their answers, as hand-written binary frames.
 *
 * Everything that repeats is said once on a connection and then named by a small number: functions with their options
 * (`template`), leases (`attach`). A task then costs about 20 bytes beside its arguments and no serializer.
 *
 *     template  u16 index, function, name, method, job, context, u16 depth, u16 numReturns
 *     attach    u16 lease, lease id
 *     push      u16 lease, u32 sequence, u16 template, u32 counter, u8 attempt, u8 flags, arguments
 *     call      u32 sequence, u16 template, u32 counter, arguments
 *     answer    u16 lease, u32 sequence, u32 run time in µs, u8 kind, ...
 *     handBack  u16 lease, u8 blocked, u32 count, u32 sequence ...
 *     abort     u16 lease, u32 sequence
 */
import { assert } from "../base/assert.js";
import { ByteReader, type ByteWriter, cutText, MalformedBytes } from "../base/bytes.js";
import type { ContextId, FunctionId, JobId, ObjectId } from "../base/ids.js";
import { MAX_ID_BYTES, MAX_INLINE_BYTES, MAX_RETURNS, MAX_TEXT_BYTES } from "../base/limits.js";
import type { ObjectEntry, Outcome, Result, Task } from "../core/owner/records.js";
import { tryEncodePrimitive, ValueWriter } from "../io/values/index.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { type StoredValue, takeValue } from "./stored-value.js";

/** The lease number of an actor's calls. */
export const NO_LEASE = 0xffff;

/**
 * The number for the next lease on a connection: the first after `before` that none has. One that is given back is not
 * used again for as long as possible: an answer for it may still be under way.
 */
export function nextLeaseNumber(taken: ReadonlyMap<number, unknown>, before: number): number {
  assert(taken.size < NO_LEASE, "a worker has fewer leases of one owner than there are numbers");
  let number = (before + 1) % NO_LEASE;
  while (taken.has(number)) number = (number + 1) % NO_LEASE;
  return number;
}
const STORE_RESULT = 1;

/** An argument on its way: a value, or the name of an object. */
export class ObjectArgument {
  readonly objectId: ObjectId;

  constructor(objectId: ObjectId) {
    this.objectId = objectId;
  }
}

/** A task as its worker gets it. */
export interface IncomingTask {
  readonly template: IncomingTemplate;
  readonly counter: number;
  readonly attempt: number;
  /** Set late when somebody asks for the result before it is there. */
  storeResult: boolean;
  readonly args: readonly (StoredValue | ObjectArgument)[];
}

export interface IncomingTemplate {
  readonly functionId: FunctionId;
  readonly name: string;
  readonly method: string;
  readonly jobId: JobId;
  readonly context: ContextId;
  readonly depth: number;
  readonly numReturns: number;
}

// ── Templates and leases ────────────────────────────────────────────────────────────────────────────────────────────

export function writeTemplate(writer: ByteWriter, index: number, template: IncomingTemplate): void {
  writer.u16(index);
  writer.text(template.functionId);
  writer.text(template.name);
  writer.text(template.method);
  writer.text(template.jobId);
  writer.text(template.context);
  writer.u16(template.depth);
  writer.u16(template.numReturns);
}

export function readTemplate(reader: ByteReader): { readonly index: number; readonly template: IncomingTemplate } {
  const index = reader.u16();
  const template = {
    functionId: reader.text(MAX_ID_BYTES) as FunctionId,
    name: reader.text(MAX_TEXT_BYTES),
    method: reader.text(MAX_TEXT_BYTES),
    jobId: reader.text(MAX_ID_BYTES) as JobId,
    context: reader.text(MAX_ID_BYTES) as ContextId,
    depth: reader.u16(),
    numReturns: reader.u16(),
  };
  if (template.numReturns > MAX_RETURNS) throw new MalformedBytes(`${template.numReturns} returns`);
  return { index, template };
}

/** Bytes before the arguments of a `push` and a `call`. */
export const PUSH_HEADER_BYTES = 14;
export const CALL_HEADER_BYTES = 11;

/** Hot path: one check for room, then plain stores. */
export function writePushHeader(writer: ByteWriter, lease: number, task: Task, template: number): void {
  writer.ensure(PUSH_HEADER_BYTES);
  const { view, length: at } = writer;
  view.setUint16(at, lease, true);
  view.setUint32(at + 2, task.sequence, true);
  view.setUint16(at + 6, template, true);
  view.setUint32(at + 8, task.counter, true);
  view.setUint8(at + 12, task.run & 0xff);
  view.setUint8(at + 13, task.storeResult ? STORE_RESULT : 0);
  writer.length = at + PUSH_HEADER_BYTES;
}

export function writeCallHeader(writer: ByteWriter, task: Task, template: number): void {
  writer.ensure(CALL_HEADER_BYTES);
  const { view, length: at } = writer;
  view.setUint32(at, task.sequence, true);
  view.setUint16(at + 4, template, true);
  view.setUint32(at + 6, task.counter, true);
  view.setUint8(at + 10, task.storeResult ? STORE_RESULT : 0);
  writer.length = at + CALL_HEADER_BYTES;
}

/** Hot path: the part of an answer before its outcome. */
export function writeAnswerHeader(writer: ByteWriter, lease: number, sequence: number, runTimeMs: number): void {
  writer.ensure(ANSWER_HEADER_BYTES);
  const { view, length: at } = writer;
  view.setUint16(at, lease, true);
  view.setUint32(at + 2, sequence, true);
  view.setUint32(at + 6, Math.min(0xffff_ffff, Math.max(0, runTimeMs * 1_000)), true);
  writer.length = at + ANSWER_HEADER_BYTES - 1;
}

// ── Tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** One byte before an inline argument: its length, or one of these. */
const OBJECT = 0xfe;
const LONG = 0xff;
const MAX_SHORT = 0xfd;

/** Primitives are encoded here first and copied: shorter than making every writer two things. */
const scratch = new ValueWriter();

/** Hot path. `args` are primitives, encoded values, or entries of objects whose values are known by now. */
export function writeArguments(
  writer: ByteWriter,
  args: readonly unknown[],
  isEntry: (value: unknown) => boolean,
): void {
  writer.u16(args.length);
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (typeof arg === "object" && arg !== null && isEntry(arg)) writeEntry(writer, arg as ObjectEntry);
    else writeInline(writer, arg as StoredValue);
  }
}

function writeEntry(writer: ByteWriter, entry: ObjectEntry): void {
  if (entry.state === "inline") {
    writeInline(writer, entry.value as StoredValue);
    return;
  }
  writer.u8(OBJECT);
  writer.text(entry.id);
}

function writeInline(writer: ByteWriter, value: StoredValue): void {
  if (value instanceof EncodedBytes) {
    writeLength(writer, value.bytes.length);
    writer.raw(value.bytes);
    return;
  }
  scratch.position = 0;
  if (!tryEncodePrimitive(scratch, value))
    throw new MalformedBytes("an argument that is neither encoded nor primitive");
  const length = scratch.position;
  writeLength(writer, length);
  writer.ensure(length);
  // A loop: a call of `set` costs more than the handful of bytes of a number.
  for (let i = 0; i < length; i++) writer.bytes[writer.length + i] = scratch.buffer[i] as number;
  writer.length += length;
}

function writeLength(writer: ByteWriter, length: number): void {
  if (length <= MAX_SHORT) {
    writer.u8(length);
    return;
  }
  writer.u8(LONG);
  writer.u32(length);
}

export function storesResult(flags: number): boolean {
  return (flags & STORE_RESULT) !== 0;
}

const NO_ARGUMENTS: readonly (StoredValue | ObjectArgument)[] = [];

/** Hot path: arguments at `at` of a frame that ends at `end`. Nothing is read past the end. */
export function readArguments(bytes: Buffer, start: number, end: number): readonly (StoredValue | ObjectArgument)[] {
  if (end - start < 2) throw new MalformedBytes("a task without arguments' count");
  const count = bytes.readUInt16LE(start);
  let at = start + 2;
  if (count === 0) return NO_ARGUMENTS;
  if (count > end - at) throw new MalformedBytes(`${count} arguments`);
  const args: (StoredValue | ObjectArgument)[] = [];
  for (let i = 0; i < count; i++) {
    if (at >= end) throw new MalformedBytes("arguments end early");
    let length = bytes[at++] as number;
    if (length === OBJECT) {
      const reader = new ByteReader(bytes, at, end);
      args.push(new ObjectArgument(reader.text(MAX_ID_BYTES) as ObjectId));
      at = reader.offset;
      continue;
    }
    if (length === LONG) {
      if (at + 4 > end) throw new MalformedBytes("arguments end early");
      length = bytes.readUInt32LE(at);
      at += 4;
    }
    if (length > end - at) throw new MalformedBytes("arguments end early");
    args.push(takeValue(bytes, at, at + length));
    at += length;
  }
  return args;
}

// ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const ANSWER = { one: 0, stored: 1, several: 2, threw: 3, failed: 4 } as const;
export const ANSWER_HEADER_BYTES = 11;

/** What a worker answers, before it is bytes: a value is a primitive or encoded. */
export function writeOutcome(writer: ByteWriter, outcome: Outcome): void {
  if (outcome.kind === "value") {
    writer.u8(ANSWER.one);
    writeTail(writer, outcome.value as StoredValue);
  } else if (outcome.kind === "returned") {
    const only = outcome.results.length === 1 ? outcome.results[0] : undefined;
    if (only !== undefined) return writeOnly(writer, only);
    writer.u8(ANSWER.several);
    writer.u16(outcome.results.length);
    for (const result of outcome.results) writeResult(writer, result);
  } else if (outcome.kind === "threw") {
    writer.u8(ANSWER.threw);
    writeTail(writer, outcome.error as StoredValue);
  } else {
    writer.u8(ANSWER.failed);
    writer.text(outcome.code);
    writer.text(cutText(outcome.message, MAX_TEXT_BYTES));
  }
}

function writeOnly(writer: ByteWriter, result: Result): void {
  if (result.kind === "inline") {
    writer.u8(ANSWER.one);
    writeTail(writer, result.value as StoredValue);
    return;
  }
  writer.u8(ANSWER.stored);
  writer.text(result.nodeId);
  writer.f64(result.sizeBytes);
}

function writeResult(writer: ByteWriter, result: Result): void {
  writer.u8(result.kind === "inline" ? ANSWER.one : ANSWER.stored);
  if (result.kind === "inline") {
    writeInline(writer, result.value as StoredValue);
  } else {
    writer.text(result.nodeId);
    writer.f64(result.sizeBytes);
  }
}

/** A value that fills the rest of its frame. */
function writeTail(writer: ByteWriter, value: StoredValue): void {
  if (value instanceof EncodedBytes) {
    writer.raw(value.bytes);
    return;
  }
  scratch.position = 0;
  if (!tryEncodePrimitive(scratch, value)) throw new MalformedBytes("a result that is neither encoded nor primitive");
  const length = scratch.position;
  writer.ensure(length);
  for (let i = 0; i < length; i++) writer.bytes[writer.length + i] = scratch.buffer[i] as number;
  writer.length += length;
}

/** Hot path: the answer whose kind is at `start`. */
export function readOutcome(bytes: Buffer, start: number, end: number): Outcome {
  const kind = bytes[start];
  if (kind === ANSWER.one) {
    return { kind: "value", value: takeValue(bytes, start + 1, end) };
  }
  if (kind === ANSWER.threw) return { kind: "threw", error: takeValue(bytes, start + 1, end) };
  const reader = new ByteReader(bytes, start + 1, end);
  if (kind === ANSWER.stored) return { kind: "returned", results: [readStored(reader)] };
  if (kind === ANSWER.several) return { kind: "returned", results: readResults(bytes, reader) };
  if (kind !== ANSWER.failed) throw new MalformedBytes("an unknown kind of answer");
  return { kind: "failed", code: reader.text(64), message: reader.text(MAX_TEXT_BYTES) };
}

function readResults(bytes: Buffer, reader: ByteReader): readonly Result[] {
  const count = reader.u16();
  if (count > MAX_RETURNS || count > reader.remaining) throw new MalformedBytes(`${count} results`);
  const results: Result[] = [];
  for (let i = 0; i < count; i++) {
    if (reader.u8() === ANSWER.stored) {
      results.push(readStored(reader));
      continue;
    }
    const short = reader.u8();
    const length = short === LONG ? reader.u32() : short;
    if (length > MAX_INLINE_BYTES) throw new MalformedBytes(`an inline result of ${length} bytes`);
    const at = reader.offset;
    reader.raw(length);
    results.push({ kind: "inline", value: takeValue(bytes, at, at + length) });
  }
  return results;
}

function readStored(reader: ByteReader): Result {
  return { kind: "stored", nodeId: reader.text(MAX_ID_BYTES), sizeBytes: reader.f64() };
}

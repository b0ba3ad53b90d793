/** Messages to bytes and back, by the table in `messages.ts`. What comes back has been checked field by field. */
import { type ByteReader, type ByteWriter, MalformedBytes } from "../base/bytes.js";
import type { ProcessRef } from "../base/ids.js";
import { ProtocolError } from "../errors.js";
import { processRef } from "./fields.js";
import { MESSAGES, type Message, type MessageType, type Role } from "./messages.js";
import type { Field } from "./schema.js";

const TYPES = Object.keys(MESSAGES) as MessageType[];
const CODES = new Map(TYPES.map((type, code) => [type, code]));

/** A control message under way: raylets and the GCS pass it on by its address without reading it. */
export interface Envelope {
  readonly to: ProcessRef;
  readonly from: ProcessRef;
  readonly message: Message;
}

export function writeEnvelope(writer: ByteWriter, envelope: Envelope): void {
  processRef.write(writer, envelope.to);
  processRef.write(writer, envelope.from);
  writeMessage(writer, envelope.message);
}

/** @throws ProtocolError when the bytes are not exactly one valid envelope. */
export function readEnvelope(reader: ByteReader): Envelope {
  try {
    const to = processRef.read(reader);
    const from = processRef.read(reader);
    const message = readMessage(reader);
    reader.finish();
    return { to, from, message };
  } catch (error) {
    if (error instanceof MalformedBytes) throw new ProtocolError(`malformed message: ${error.message}`);
    throw error;
  }
}

function writeMessage(writer: ByteWriter, message: Message): void {
  writer.u8(CODES.get(message.type) ?? 0xff);
  bodyOf(message.type).write(writer, message);
}

function readMessage(reader: ByteReader): Message {
  const type = TYPES[reader.u8()];
  if (type === undefined) throw new MalformedBytes("an unknown message type");
  return { type, ...(bodyOf(type).read(reader) as object) } as Message;
}

/** Whether a peer of this role may send this message at all; everything not listed is refused. */
export function maySend(role: Role, type: MessageType): boolean {
  return (MESSAGES[type].from as readonly Role[]).includes(role);
}

/** Whether this message means something to a process of this role. */
export function mayReceive(role: Role, type: MessageType): boolean {
  return (MESSAGES[type].to as readonly Role[]).includes(role);
}

function bodyOf(type: MessageType): Field<unknown> {
  return MESSAGES[type].body as Field<unknown>;
}

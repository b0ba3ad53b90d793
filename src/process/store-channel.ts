/**
 * Questions to the raylet's store that synchronous code cannot go on without. Each has an answer, by its number; the
 * connection is made when it is first needed, and again when it was lost.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { type ProcessRef, rayletOf } from "../base/ids.js";
import { EXTENT_ANSWER_MS, ROOM_ANSWER_MS } from "../base/limits.js";
import { ConnectionError, ProtocolError } from "../errors.js";
import { SyncConnection, type SyncDialOptions } from "../io/sync-connection.js";
import { mayReceive, readEnvelope, writeEnvelope } from "../protocol/codec.js";
import { beginFrame, endFrame } from "../protocol/frames.js";
import type { Failure, Message, Role } from "../protocol/messages.js";
import { FRAME } from "./frame-types.js";

type Request = Message & { readonly type: "leaseExtent" };

export interface StoreChannelOptions {
  readonly self: ProcessRef;
  readonly role: Role & ("driver" | "worker");
  readonly rayletPath: string;
  readonly secret: Uint8Array;
  /** An answer to a question that was given up. */
  readonly late: (message: Message) => void;
  /** What stood before a question that could not be sent has another way to go. */
  readonly unsent: (messages: readonly Message[]) => void;
  readonly waitReadable?: SyncDialOptions["waitReadable"];
}

export class StoreChannel {
  readonly #options: StoreChannelOptions;
  #connection: SyncConnection | undefined;

  constructor(options: StoreChannelOptions) {
    this.#options = options;
  }

  /**
   * Say what stands before the question, ask it, and wait. Undefined when there is no answer in time; when the last
   * question cannot be asked at all, why not.
   */
  ask(request: Request, before: readonly Message[]): Message | Failure | undefined {
    let unsent = before;
    try {
      this.#connection ??= this.#dial();
      unsent = before.filter(mayComeTwice); // from here on some of it may have arrived
      this.#connection.send(this.#framesOf([...before, request]), EXTENT_ANSWER_MS);
      unsent = [];
      return this.#answerTo(this.#connection, request);
    } catch (error) {
      this.close();
      this.#options.unsent(unsent);
      if (!(error instanceof ConnectionError)) throw error;
      return request.last ? { code: ConnectionError.code, message: error.message } : undefined;
    }
  }

  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  #dial(): SyncConnection {
    const { self, role, rayletPath, secret, waitReadable } = this.#options;
    const identity = { role, nodeId: self.nodeId, processId: self.processId };
    return SyncConnection.dial(rayletPath, { identity, secret, purpose: "store", waitReadable });
  }

  #framesOf(messages: readonly Message[]): Uint8Array {
    const from = this.#options.self;
    const to = rayletOf(from.nodeId);
    const writer = new ByteWriter();
    for (const message of messages) {
      const at = beginFrame(writer, FRAME.envelope);
      writeEnvelope(writer, { to, from, message });
      endFrame(writer, at);
    }
    return writer.written();
  }

  #answerTo(connection: SyncConnection, { request, last }: Request): Message | undefined {
    const untilMs = performance.now() + (last ? ROOM_ANSWER_MS : EXTENT_ANSWER_MS);
    for (;;) {
      const frame = connection.receive(Math.max(0, untilMs - performance.now()));
      if (frame === undefined) return undefined;
      if (frame.type !== FRAME.envelope) throw new ProtocolError(`frame type ${frame.type} on a store connection`);
      const { message } = readEnvelope(new ByteReader(frame.body));
      if (!mayReceive(this.#options.role, message.type)) throw new ProtocolError(`${message.type} is not an answer`);
      if ("request" in message && message.request === request) return message;
      this.#options.late(message);
    }
  }
}

/** What was given back may be another's by now. If it was not, it ends with this process. */
function mayComeTwice({ type }: Message): boolean {
  return type !== "returnExtent";
}

/**
 * A process's control connection to its raylet: envelopes out and in. Everything that is not for the own node the raylet
 * passes on.
 */
import { ByteReader } from "../base/bytes.js";
import { type ProcessRef, rayletOf } from "../base/ids.js";
import { ProtocolError } from "../errors.js";
import type { Connection } from "../io/connection.js";
import { mayReceive, readEnvelope, writeEnvelope } from "../protocol/codec.js";
import type { Message, Role } from "../protocol/messages.js";
import { FRAME } from "./frame-types.js";

export interface ControlEvents {
  message(message: Message, from: ProcessRef): void;
  closed(error: Error | undefined): void;
}

export class ControlLink {
  readonly #connection: Connection;
  readonly #self: ProcessRef;
  readonly #raylet: ProcessRef;

  constructor(connection: Connection, self: ProcessRef, role: Role, events: ControlEvents) {
    this.#connection = connection;
    this.#self = self;
    this.#raylet = rayletOf(self.nodeId);
    connection.start({
      frame: (type, bytes, start, end) => {
        if (type !== FRAME.envelope) throw new ProtocolError(`frame type ${type} on a control connection`);
        const { message, from } = readEnvelope(new ByteReader(bytes, start, end));
        if (!mayReceive(role, message.type)) throw new ProtocolError(`${message.type} is not for a ${role}`);
        events.message(message, from);
      },
      closed: (error) => events.closed(error),
    });
  }

  send(to: ProcessRef, message: Message): void {
    writeEnvelope(this.#connection.beginFrame(FRAME.envelope), { to, from: this.#self, message });
    this.#connection.endFrame();
  }

  sendToRaylet(message: Message): void {
    this.send(this.#raylet, message);
  }

  /** Whether the connection keeps the process alive. */
  setAlive(alive: boolean): void {
    if (alive) this.#connection.ref();
    else this.#connection.unref();
  }

  flush(): void {
    this.#connection.flush();
  }

  close(): void {
    this.#connection.close();
  }
}

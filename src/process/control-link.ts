/**
 * A process's control connection to its raylet: envelopes out and in. Everything that is not for the own node the raylet
 * passes on.
 *
 * A process that comes out of synchronous code finds much to read at once, on several connections, in no order of time. So
 * words of somebody's end wait until the end of the turn, and what comes behind them waits, too.
 */
import { ByteReader } from "../base/bytes.js";
import { type ProcessRef, rayletOf } from "../base/ids.js";
import { ProtocolError } from "../errors.js";
import type { Connection } from "../io/connection.js";
import { type Envelope, mayReceive, readEnvelope, writeEnvelope } from "../protocol/codec.js";
import type { Message, Role } from "../protocol/messages.js";
import { AFTER_LAST_WORDS, FRAME } from "./frame-types.js";

export interface ControlEvents {
  message(message: Message, from: ProcessRef): void;
  closed(error: Error | undefined): void;
}

export class ControlLink {
  readonly #connection: Connection;
  readonly #self: ProcessRef;
  readonly #raylet: ProcessRef;
  readonly #role: Role;
  readonly #events: ControlEvents;
  /** What waits until this turn has read from every connection, in order; then it is empty. */
  #behind: Envelope[] = [];

  constructor(connection: Connection, self: ProcessRef, role: Role, events: ControlEvents) {
    this.#connection = connection;
    this.#self = self;
    this.#raylet = rayletOf(self.nodeId);
    this.#role = role;
    this.#events = events;
    connection.start({
      frame: (type, bytes, start, end) => this.#frame(type, bytes, start, end),
      closed: (error) => {
        this.#deliver();
        events.closed(error);
      },
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
    this.#behind = [];
    this.#connection.close();
  }

  #frame(type: number, bytes: Uint8Array, start: number, end: number): void {
    if (type !== FRAME.envelope) throw new ProtocolError(`frame type ${type} on a control connection`);
    const { message, from } = readEnvelope(new ByteReader(bytes, start, end));
    if (!mayReceive(this.#role, message.type)) throw new ProtocolError(`${message.type} is not for a ${this.#role}`);
    if (this.#behind.length === 0 && !AFTER_LAST_WORDS.has(message.type)) return this.#events.message(message, from);
    if (this.#behind.length === 0) setImmediate(() => this.#deliver());
    this.#behind.push(readEnvelope(new ByteReader(bytes.slice(start, end)))); // the frame's own bytes are gone by then
  }

  #deliver(): void {
    for (let next = this.#behind.shift(); next !== undefined; next = this.#behind.shift()) {
      this.#events.message(next.message, next.from);
    }
  }
}

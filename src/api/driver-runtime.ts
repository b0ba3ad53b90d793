/** The runtime of a process around its core: questions to the GCS, what keeps the process alive, its end. */
import { GCS, type ProcessRef } from "../base/ids.js";
import { ConnectionError } from "../errors.js";
import type { CoreProcess } from "../process/core-process.js";
import type { Message } from "../protocol/messages.js";
import { shutdownError } from "./get.js";
import type { Runtime } from "./runtime.js";

export interface RuntimeOptions {
  readonly core: CoreProcess;
  readonly role: "driver" | "worker";
  /** The cluster's. A worker runs before its head listens, and has to look it up. */
  readonly address: () => string;
  /** A message that is neither the core's nor an answer. */
  readonly onMessage: (message: Message, from: ProcessRef) => void;
  readonly shutdown: () => Promise<void>;
}

export class ProcessRuntime implements Runtime {
  readonly core: CoreProcess;
  readonly role: "driver" | "worker";
  readonly #address: () => string;
  readonly pending = new Set<(error: Error) => void>();
  readonly #shutdown: () => Promise<void>;
  readonly #questions = new Map<number, { answered: (message: Message) => void; failed: (error: Error) => void }>();
  #nextQuestion = 1;
  #holds = 0;
  #ended: Promise<void> | undefined;
  /** How the connection to the raylet ended. */
  #lostBy: string | undefined;

  constructor(options: RuntimeOptions) {
    this.core = options.core;
    this.role = options.role;
    this.#address = options.address;
    this.#shutdown = options.shutdown;
    const { onMessage } = options;
    const before = options.core.onMessage;
    options.core.onMessage = (message, from) => {
      if (message.type === "answer" || message.type === "actorFound") {
        const question = this.#questions.get(message.query);
        this.#questions.delete(message.query);
        question?.answered(message);
        return;
      }
      before(message, from);
      onMessage(message, from);
    };
    if (options.role === "driver") {
      options.core.onRayletLost = (error) => this.#connectionLost(error);
      options.core.raylet.setAlive(false);
    }
  }

  get address(): string {
    return this.#address();
  }

  async query(about: "nodes" | "trace" | "workers" | "output", subject: string): Promise<string> {
    const message = await this.#ask((query) => ({ type: "query", query, about, subject }));
    return message.type === "answer" ? message.json : "";
  }

  async findActor(name: string, namespace: string): Promise<{ actorId: string; className: string } | undefined> {
    const message = await this.#ask((query) => ({ type: "findActor", query, name, namespace }));
    if (message.type !== "actorFound" || message.actorId === undefined) return undefined;
    return { actorId: message.actorId, className: message.className };
  }

  hold(): void {
    if (this.#holds++ === 0 && this.role === "driver") this.core.raylet.setAlive(true);
  }

  release(): void {
    if (--this.#holds === 0 && this.role === "driver") this.core.raylet.setAlive(false);
  }

  lost(): Error | undefined {
    if (this.#lostBy === undefined) return undefined;
    if (this.#ended !== undefined) return shutdownError();
    const message = `the connection to the cluster at ${this.address} was lost: ${this.#lostBy}. Call shutdown(), then init() to join a cluster again`;
    return new ConnectionError(message);
  }

  shutdown(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  #ask(question: (query: number) => Message): Promise<Message> {
    const lost = this.lost();
    if (lost !== undefined) return Promise.reject(lost);
    const query = this.#nextQuestion++;
    this.hold();
    const answer = new Promise<Message>((resolve, reject) => {
      this.#questions.set(query, { answered: resolve, failed: reject });
      this.core.raylet.send(GCS, question(query));
    });
    return answer.finally(() => this.release());
  }

  async #end(): Promise<void> {
    this.#failAll(shutdownError);
    await this.#shutdown();
  }

  #connectionLost(error: Error | undefined): void {
    this.#lostBy = error?.message ?? "it closed the connection";
    this.#failAll(() => this.lost() ?? shutdownError());
  }

  /** Each gets an error of its own. */
  #failAll(newError: () => Error): void {
    for (const fail of [...this.pending]) fail(newError());
    for (const { failed } of [...this.#questions.values()]) failed(newError());
    this.#questions.clear();
  }
}

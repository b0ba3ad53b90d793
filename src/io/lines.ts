/** Cuts a stream of UTF-8 bytes into lines. A line beyond the limit is delivered in pieces. */
import { StringDecoder } from "node:string_decoder";

export class LineSplitter {
  readonly #limit: number;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";

  constructor(limit: number, onLine: (line: string) => void) {
    this.#limit = limit;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    const text = this.#rest + this.#decoder.write(chunk);
    let at = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", at)) {
      this.#deliver(text.slice(at, text[end - 1] === "\r" && end > at ? end - 1 : end));
      at = end + 1;
    }
    this.#rest = text.slice(at);
    while (this.#rest.length > this.#limit) {
      this.#onLine(this.#rest.slice(0, this.#limit));
      this.#rest = this.#rest.slice(this.#limit);
    }
  }

  /** The stream has ended, or nobody waits for more of it: deliver a last line that has no newline. */
  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (rest !== "") this.#deliver(rest);
  }

  #deliver(line: string): void {
    for (let at = 0; at === 0 || at < line.length; at += this.#limit) this.#onLine(line.slice(at, at + this.#limit));
  }
}

/**
 * Composing the source map of emitted code: from a position in it, through the script that the function stood in, to
 * the file that the user wrote. Node reads the map on the worker, so that stack traces show the user's own lines.
 */
import type { Quote } from "./graph.js";
import { encodeVlq } from "./vlq.js";

/** Where V8 can point at in a stack trace: words and the brackets of calls and computed members. */
const TOKENS = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*|[([`]/gu;

export class MapBuilder {
  readonly #sources: string[] = [];
  readonly #sourceIds = new Map<string, number>();
  #mappings = "";
  #line = 0;
  #firstOfLine = true;
  #lastColumn = 0;
  #lastSource = 0;
  #lastOriginalLine = 0;
  #lastOriginalColumn = 0;

  /** Text of a script was emitted at a position. Calls come in the order of positions. */
  addText({ text, positions, ...from }: Quote, line: number, column: number): void {
    const lineBreaks: number[] = [];
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lineBreaks.push(at + 1);
    let row = 0;
    let last = "";
    for (const token of text.matchAll(TOKENS)) {
      while (row < lineBreaks.length && (lineBreaks[row] ?? 0) <= token.index) row++;
      const within = token.index - (row === 0 ? 0 : (lineBreaks[row - 1] ?? 0));
      const original = positions.original(from.line + row, row === 0 ? from.column + within : within);
      if (original === undefined) continue;
      const key = `${line + row} ${original.source} ${original.line} ${original.column}`;
      if (key === last) continue;
      last = key;
      this.#add(line + row, row === 0 ? column + within : within, original.source, original.line, original.column);
    }
  }

  /** Undefined when nothing was mapped. */
  finish(): string | undefined {
    if (this.#sources.length === 0) return undefined;
    return JSON.stringify({ version: 3, sources: this.#sources, names: [], mappings: this.#mappings });
  }

  #add(line: number, column: number, source: string, originalLine: number, originalColumn: number): void {
    while (this.#line < line) {
      this.#mappings += ";";
      this.#line++;
      this.#firstOfLine = true;
      this.#lastColumn = 0;
    }
    if (!this.#firstOfLine) this.#mappings += ",";
    this.#firstOfLine = false;
    const sourceId = this.#sourceId(source);
    this.#mappings +=
      encodeVlq(column - this.#lastColumn) +
      encodeVlq(sourceId - this.#lastSource) +
      encodeVlq(originalLine - this.#lastOriginalLine) +
      encodeVlq(originalColumn - this.#lastOriginalColumn);
    this.#lastColumn = column;
    this.#lastSource = sourceId;
    this.#lastOriginalLine = originalLine;
    this.#lastOriginalColumn = originalColumn;
  }

  #sourceId(source: string): number {
    let id = this.#sourceIds.get(source);
    if (id === undefined) {
      id = this.#sources.push(source) - 1;
      this.#sourceIds.set(source, id);
    }
    return id;
  }
}

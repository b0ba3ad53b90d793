/**
 * From a position in the code that runs to the file that the user wrote, by the source map of a script.
 */
import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { fileURLToPath } from "node:url";

export interface Position {
  /** URL of the file as the user wrote it. */
  readonly source: string;
  /** From zero. */
  readonly line: number;
  readonly column: number;
}

/** What a loader made of one file. */
export class UserPositions {
  readonly #url: string;
  readonly #base: string;
  readonly #map: SourceMap | undefined;

  /** `map` is the source map, or where it is: a data URL or a file beside the script; empty if there is none. */
  constructor(url: string, map: SourceMap | string) {
    this.#url = url;
    this.#map = typeof map === "string" ? loadMap(map, url) : map;
    this.#base = typeof map !== "string" || map === "" || map.startsWith("data:") ? url : new URL(map, url).href;
  }

  /** Undefined where the source map says nothing. */
  original(line: number, column: number): Position | undefined {
    if (this.#map === undefined) return { source: this.#url, line, column };
    const entry = this.#map.findEntry(line, column);
    if (!("originalSource" in entry) || entry.originalSource === undefined) return undefined;
    return {
      source: resolveUrl(entry.originalSource, this.#base),
      line: entry.originalLine,
      column: entry.originalColumn,
    };
  }
}

function loadMap(mapUrl: string, scriptUrl: string): SourceMap | undefined {
  if (mapUrl === "") return undefined;
  try {
    return new SourceMap(JSON.parse(readMap(mapUrl, scriptUrl)) as SourceMapPayload);
  } catch {
    return undefined; // a missing or broken map: positions of the script itself are the best there is
  }
}

function readMap(mapUrl: string, scriptUrl: string): string {
  if (!mapUrl.startsWith("data:")) return readFileSync(fileURLToPath(new URL(mapUrl, scriptUrl)), "utf8");
  const comma = mapUrl.indexOf(",");
  const body = mapUrl.slice(comma + 1);
  return mapUrl.slice(0, comma).endsWith(";base64")
    ? Buffer.from(body, "base64").toString("utf8")
    : decodeURIComponent(body);
}

export function resolveUrl(source: string, base: string): string {
  if (source.startsWith("/")) return `file://${source}`;
  try {
    return new URL(source, base).href;
  } catch {
    return source;
  }
}

/**
 * The program that `bench/capture.ts` measures, loaded in one way or another: `capture-program <mode> <functions> <api>`.
 * It prints one line of JSON.
 */
import { format } from "node:util";

const [, , mode = "", functionsUrl = "", apiUrl = ""] = process.argv;

/** Of `src/functions`, as far as it is used here: this file is also run by loaders that do not know the build. */
interface Functions {
  capture(fn: CallableFunction, hooks: object): { readonly hash: string; readonly payload: Uint8Array };
  Reviver: new (hooks: object) => { revive(hash: string, payload: Uint8Array): Promise<CallableFunction> };
}

const LATER = 300;
const AWAITS = 300_000;
const hooks = { describe: () => undefined, warn: () => undefined };

const tax = 0.25;
const withTax = (price: number): number => price * (1 + tax);
function describe(name: string, price: number): string {
  return format("%s costs %d", name, withTax(price));
}
/** The usual function of a program: a helper, a constant, an import. */
const first = (name: string): string => describe(name, 100);

/** One variable. */
const later = (offset: number) => (n: number) => n + offset;

async function main(): Promise<void> {
  const { capture, Reviver } = (await import(functionsUrl)) as Functions;
  await import(apiUrl);
  if (mode === "bare") return print({ firstMs: await bareSession() });
  const awaitsBefore = await timeAwaits();
  const firstMs = timed(() => capture(first, hooks));
  const captures = Array.from({ length: LATER }, (_, i) => {
    const fn = later(i);
    let captured: ReturnType<typeof capture> | undefined;
    const ms = timed(() => {
      captured = capture(fn, hooks);
    });
    return { ms, captured };
  });
  const awaitsAfter = await timeAwaits();
  const reviver = new Reviver({ revive: () => undefined });
  const reviveMs: number[] = [];
  for (const { captured } of captures) {
    if (captured === undefined) throw new Error("nothing was captured");
    const start = performance.now();
    await reviver.revive(captured.hash, captured.payload);
    reviveMs.push(performance.now() - start);
  }
  const laterMs = captures.map(({ ms }) => ms);
  print({ firstMs, laterMs: median(laterMs), reviveMs: median(reviveMs), awaits: awaitsAfter / awaitsBefore });
}

/** What a capture at least needs: a session, the debugger enabled, the source of one script. */
async function bareSession(): Promise<number> {
  const { Session } = await import("node:inspector");
  const own = process.argv[1] ?? "";
  return timed(() => {
    const session = new Session();
    session.connect();
    let scriptId = "";
    session.on("Debugger.scriptParsed", ({ params }) => {
      if (params.url.endsWith(own)) ({ scriptId } = params);
    });
    session.post("Debugger.enable");
    let length = 0;
    session.post("Debugger.getScriptSource", { scriptId }, (_error, result) => {
      length = result?.scriptSource.length ?? 0;
    });
    session.post("Debugger.disable");
    if (length === 0) throw new Error(`no source of ${own}`);
  });
}

async function timeAwaits(): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < AWAITS; i++) await null;
  return performance.now() - start;
}

function timed(body: () => void): number {
  const start = performance.now();
  body();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

void main();

/** `mobula run`: a driver as a child process. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { extname } from "node:path";
import { MobulaError } from "../errors.js";
import { addressOf } from "./connect.js";

const TYPESCRIPT = new Set([".ts", ".mts", ".cts", ".tsx"]);
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const;

/** Ends as the script ends: with its exit code, or with 128 and the number of the signal that ended it. */
export async function run(
  script: string,
  args: readonly string[],
  options: { readonly address?: string },
): Promise<void> {
  const env = { ...process.env };
  if (options.address !== undefined) env["MOBULA_ADDRESS"] = addressOf(options.address);
  const loaders = TYPESCRIPT.has(extname(script)) ? typeScriptLoaders() : [];
  const child = spawn(process.execPath, [...loaders.flatMap((url) => ["--import", url]), script, ...args], {
    stdio: "inherit",
    env,
  });
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      // Ctrl-C at a terminal has reached the child already: it is of our process group.
      if (signal !== "SIGINT" || process.stdin.isTTY !== true) child.kill(signal);
    });
  }
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (...exit) => resolve(exit));
  });
  for (const forwarded of FORWARDED) process.removeAllListeners(forwarded);
  process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** tsx is needed here and nowhere else; it may be missing where only JavaScript drivers run. */
function typeScriptLoaders(): string[] {
  try {
    return [import.meta.resolve("tsx"), import.meta.resolve("./typescript-loader.js")];
  } catch (cause) {
    throw new MobulaError("a TypeScript driver runs through the package tsx, which is not installed: npm install tsx", {
      cause,
    });
  }
}

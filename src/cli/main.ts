#!/usr/bin/env node
/** The `mobula` command. What a subcommand does is a page of its own, loaded when it is called. */
import { Command, CommanderError, Option } from "commander";
import { fail, USAGE } from "./failure.js";
import { amount, count, json, numbers, regExp, texts } from "./values.js";
import { version } from "./version.js";

const ADDRESS = "the head's HOST:PORT, or auto (default: $MOBULA_ADDRESS, else the newest cluster on this host)";

function program(): Command {
  const mobula = new Command("mobula")
    .description("Remote functions, actors and a shared-memory object store, on one machine or many.")
    .version(version(), "-v, --version")
    .exitOverride()
    .enablePositionalOptions() // what follows the name of `run`'s script is the script's
    .showHelpAfterError("(add --help for what there is)")
    .addHelpText("after", "\nExit codes: 0 done, 1 failed, 2 wrong usage.");
  addStart(mobula);
  mobula
    .command("stop")
    .description("Stop this user's clusters on this host, and nodes of it that joined others.")
    .action(async () => (await import("./stop.js")).stop());
  mobula
    .command("status")
    .description("The nodes of a cluster, what they have and what of it is in use, and their workers.")
    .option("--address <address>", ADDRESS)
    .option("--json", "print JSON")
    .action(async (options) => (await import("./status.js")).status(options));
  addRun(mobula);
  mobula
    .command("trace")
    .description("The journey of a task, step by step: of the task itself, of its results, and of the actor it calls.")
    .argument("[task]", "the beginning of a task's or object's id, or a function's name (default: the latest task)")
    .option("--address <address>", ADDRESS)
    .option("--json", "print JSON")
    .action(async (task, options) => (await import("./trace.js")).trace(task, options));
  addMemory(mobula);
  mobula
    .command("microbenchmark")
    .description(
      "Measure tasks, actor calls and objects on a cluster of its own, beside two bare processes (the floor).",
    )
    .option("--filter <re>", "only the workloads whose names match", regExp)
    .option("--seconds <n>", "how long one window of measurement is; a workload gets four", amount, 2)
    .option("--json", "print JSON")
    .action(async (options) => (await import("./microbenchmark.js")).microbenchmark(options));
  return mobula;
}

function addStart(mobula: Command): void {
  mobula
    .command("start")
    .description("Start a node that lives on: the head of a new cluster, or one more node of a cluster.")
    .addOption(new Option("--head", "start a new cluster").conflicts("address"))
    .option("--address <address>", "join the cluster with this head, HOST:PORT")
    .option("--host <host>", "listen on this address, one of the loopback", "127.0.0.1")
    .option("--port <n>", "listen on this port (default: a free one)", count)
    .option("--num-cpus <n>", "CPUs that the node offers (default: as many as it may use)", amount)
    .option("--num-gpus <n>", "GPUs that the node offers (default: 0)", amount)
    .option("--resources <json>", "further resources, such as '{\"disk\": 2}'", json(numbers))
    .option("--labels <json>", 'labels for placing tasks, such as \'{"zone": "a"}\'', json(texts))
    .option("--object-store-memory <bytes>", "size of the object store (default: 30 % of memory)", amount)
    .option("--spill-directory <path>", "where spilled objects go (default: the session's directory)")
    .option("--block", "stay until the node ends; Ctrl-C stops it")
    .action(async (options) => (await import("./start.js")).start(options));
}

function addRun(mobula: Command): void {
  mobula
    .command("run")
    .description("Run a driver. A TypeScript file runs as it is.")
    .argument("<script>", "the program: .ts, .mts, .cts, .tsx, or whatever node runs")
    .argument("[args...]", "its arguments")
    .option("--address <address>", "the cluster that init() connects to: HOST:PORT or auto (default: one of its own)")
    .passThroughOptions()
    .action(async (script, args, options) => (await import("./run.js")).run(script, args, options));
}

function addMemory(mobula: Command): void {
  mobula
    .command("memory")
    .description("Every object of a cluster: its size, where it lies, who holds it, and which line of code made it.")
    .option("--address <address>", ADDRESS)
    .option("--json", "print JSON: everything that is known, unless --limit says less")
    .addOption(
      new Option("--sort <by>", "most bytes first, or most objects (of objects: most holders)")
        .choices(["size", "count"])
        .default("size"),
    )
    .addOption(
      new Option("--group-by <what>", "objects under the line that made them, under their node, or in one list")
        .choices(["site", "node", "none"])
        .default("site"),
    )
    .option("--limit <n>", "lines of each list (default: 20)", count)
    .addHelpText("after", MEMORY_HELP)
    .action(async (options) => (await import("./memory.js")).memory(options));
}

const MEMORY_HELP = `
Small values whose refs have not left their owner are in no store, and not listed. The largest 5,000 objects are
listed one by one; the others are in the totals.

The line is known of values that went to the store at once: put() of more than 100 KiB or with refs inside, and large
arguments. Of results it is known for the first 16 calls of each remote function, and for all calls once a large result
of it has gone to the store; between them "near" marks a guess, the last call of the function whose line is known. With MOBULA_CALL_SITES=1 in the environment of the driver and of the nodes it is known of
every call and put(), for about 10 µs each.`;

async function main(): Promise<void> {
  // The reader may go before we are done: `mobula trace | head`.
  process.stdout.on("error", () => process.exit(0));
  try {
    await program().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE;
    else process.exitCode = fail(error);
  }
}

void main();

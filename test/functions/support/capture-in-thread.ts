// The capturing program inside a worker thread; same arguments.
import { Worker } from "node:worker_threads";

new Worker(new URL("./capture-main.js", import.meta.url), { argv: process.argv.slice(2) });

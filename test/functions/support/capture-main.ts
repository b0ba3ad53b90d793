// Captures every case of a fixture and writes the payloads to a file: `node capture-main.js <fixture> <output>`.
import { pathToFileURL } from "node:url";
import { captureCases } from "./capture-cases.js";
import type { Fixture } from "./cases.js";

const [fixture = "", output = ""] = process.argv.slice(2);
captureCases((await import(pathToFileURL(fixture).href)) as Fixture, output);

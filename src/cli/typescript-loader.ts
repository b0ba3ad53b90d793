/** Loaded by `mobula run` into a TypeScript driver, behind tsx. */
import { register } from "node:module";

register("./typescript-hooks.js", import.meta.url);

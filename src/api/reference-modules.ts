/** `runtimeEnv.byReference`: the modules that a user named, as the capture knows them. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InvalidOptionError } from "../errors.js";
import { canonicalUrl, entryModule } from "../functions/index.js";
import type { RuntimeEnv } from "./types.js";

/**
 * URLs of the modules. A relative path is taken from the current directory, then from that of the program's entry; the
 * extension may be the compiled one (`./db.js` for db.ts).
 *
 * @throws InvalidOptionError when there is no such file, or when it is the program itself.
 */
export function referenceModules(runtimeEnv: RuntimeEnv | undefined): readonly string[] {
  return (runtimeEnv?.byReference ?? []).map(referenceModule);
}

function referenceModule(name: string): string {
  const entry = entryModule();
  const tried: string[] = [];
  for (const directory of [process.cwd(), ...(entry?.startsWith("file:") ? [dirname(fileURLToPath(entry))] : [])]) {
    const path = name.startsWith("file:") ? fileURLToPath(name) : resolve(directory, name);
    const found = [path, sourceOf(path)].find((each) => existsSync(each));
    if (found === undefined) {
      tried.push(path);
      continue;
    }
    const url = canonicalUrl(found);
    if (url !== entry) return url;
    throw new InvalidOptionError(
      `runtimeEnv.byReference names ${name}, the program's entry module, which never runs on a worker: move what must exist once in each process into a module of its own`,
    );
  }
  throw new InvalidOptionError(
    `runtimeEnv.byReference: there is no module ${[...new Set(tried)].join(" or ")}; give a path from the current directory, or new URL("./db.js", import.meta.url).href`,
  );
}

function sourceOf(path: string): string {
  return path.replace(/\.([cm]?)js$/, ".$1ts");
}

/**
 * TypeScript files of which no package.json says what they are count as ES modules: a driver awaits at its top level.
 * tsx, like Node for `.js`, would take them for CommonJS.
 */
import { readFileSync } from "node:fs";
import type { ResolveFnOutput, ResolveHook } from "node:module";

export const resolve: ResolveHook = async (specifier, context, next): Promise<ResolveFnOutput> => {
  const resolved = await next(specifier, context);
  const isOpen = resolved.format === "commonjs" && /^file:.*\.tsx?(\?|$)/.test(resolved.url);
  return isOpen && !saysItsType(resolved.url) ? { ...resolved, format: "module" } : resolved;
};

/** Whether the nearest package.json has a `type`. */
function saysItsType(url: string): boolean {
  for (let at = new URL("package.json", url); ; at = new URL("../package.json", at)) {
    try {
      const found: unknown = JSON.parse(readFileSync(at, "utf8"));
      return typeof found === "object" && found !== null && "type" in found;
    } catch {
      // not here, or not readable: tsx has the last word on a broken one
    }
    if (at.pathname === "/package.json" || new URL("../package.json", at).href === at.href) return false;
  }
}

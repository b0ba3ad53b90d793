/**
 * Places where a tidy rule does not hold, each with its reason. An exemption that no longer exempts anything fails
 * the test, so this list only gets shorter by itself.
 */
import type { Finding } from "./rules.js";

export interface Exemption {
  readonly file: string;
  readonly rule: string;
  /** Only the findings about this function or name; without it, every finding of the rule in the file. */
  readonly symbol?: string;
  readonly reason: string;
}

export const EXEMPTIONS: readonly Exemption[] = [];

export interface Verdict {
  readonly offences: readonly Finding[];
  readonly stale: readonly Exemption[];
}

export function applyExemptions(findings: readonly Finding[], exemptions: readonly Exemption[]): Verdict {
  const covers = (exemption: Exemption, finding: Finding) =>
    exemption.file === finding.file &&
    exemption.rule === finding.rule &&
    (exemption.symbol === undefined || exemption.symbol === finding.symbol);
  return {
    offences: findings.filter((finding) => !exemptions.some((exemption) => covers(exemption, finding))),
    stale: exemptions.filter((exemption) => !findings.some((finding) => covers(exemption, finding))),
  };
}

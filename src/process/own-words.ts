/** What a driver or worker tells of itself when somebody asks for journeys, traffic or memory. */
import type { ProcessRef } from "../base/ids.js";
import type { Journey } from "../core/journey.js";
import { processReport } from "../core/memory/process-report.js";
import type { Owner } from "../core/owner/owner.js";
import { tcpTraffic } from "../io/connection.js";
import type { MessageBody } from "../protocol/messages.js";
import { placing } from "./call-sites.js";
import type { ControlLink } from "./control-link.js";
import type { LocalStore } from "./local-store.js";

/** The process that is asked. */
interface Asked {
  readonly self: ProcessRef;
  readonly actorName: string;
  readonly owner: Owner;
  readonly store: LocalStore;
  readonly journey: Journey;
  readonly raylet: ControlLink;
}

export function answerCollect(
  core: Asked,
  role: "driver" | "worker",
  { query, subject }: MessageBody<"collect">,
  from: ProcessRef,
): void {
  const json = JSON.stringify(wordsAbout(core, role, subject));
  core.raylet.send(from, { type: "collected", query, json, last: true });
}

function wordsAbout(core: Asked, role: "driver" | "worker", subject: string): unknown {
  if (subject === "#memory") {
    const who = { ...core.self, pid: process.pid, role, actor: core.actorName };
    return processReport(who, core.owner, core.store.localEntries(), placing());
  }
  // A driver or worker has TCP connections only to processes of other nodes: calls, and their answers.
  if (subject === "#traffic") return [{ objectBytes: 0, callBytes: tcpTraffic.bytesSent, mostServedBytes: 0 }];
  return [...core.journey.records()].filter((record) => record.subject.startsWith(subject));
}

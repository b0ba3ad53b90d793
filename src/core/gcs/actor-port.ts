/** What the actor table asks of the world, as messages and as calls of the scheduler. */
import { type LeaseId, type ProcessRef, rayletOf } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { ActorTablePort } from "./actor-table.js";

export function actorTablePort(
  port: { send(to: ProcessRef, message: Message): void },
  journey: Journey,
  scheduler: {
    placeTask: ActorTablePort["leaseActorWorker"];
    cancelLease(leaseId: LeaseId): void;
  },
): ActorTablePort {
  const toRaylet = ({ nodeId }: ProcessRef, message: Message) => port.send(rayletOf(nodeId), message);
  return {
    leaseActorWorker: (request) => scheduler.placeTask(request),
    cancelLease: (leaseId) => scheduler.cancelLease(leaseId),
    createActor: (worker, leaseId, actor) => {
      journey.record("createActor", actor.actorId, actor.name);
      port.send(worker, { type: "createActor", leaseId, actor });
    },
    settleActor: (worker, leaseId) => toRaylet(worker, { type: "settleActor", leaseId }),
    killProcess: (process, reason) => toRaylet(process, { type: "killProcess", process, reason }),
    announce: (to, actor) => port.send(to, { type: "actorState", ...actor }),
  };
}

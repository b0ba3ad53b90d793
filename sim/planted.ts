/** Bugs planted between a raylet and the world, to show that the checkers see them. */
import type { LeaseId, ProcessRef } from "../src/base/ids.js";
import type { RayletPort } from "../src/core/raylet/raylet.js";

/**
 * A raylet that grants a busy worker a second time: while one of its leases runs, the next goes to the same worker. The
 * raylet's own books stay in order, so none of its own assertions can notice.
 */
export function plantDoubleGrant(port: RayletPort): RayletPort {
  const workers = new Map<LeaseId, ProcessRef>();
  let busy: { readonly worker: ProcessRef; readonly leaseId: LeaseId } | undefined;
  return {
    ...port,
    send: (to, message) => {
      if (message.type === "openLease") {
        const worker = busy?.worker ?? to;
        workers.set(message.leaseId, worker);
        busy ??= { worker, leaseId: message.leaseId };
        return port.send(worker, message);
      }
      if (message.type === "leaseGranted") {
        return port.send(to, { ...message, worker: workers.get(message.leaseId) ?? message.worker });
      }
      if (message.type === "closeLease" || message.type === "dispatchTask") {
        if (message.type === "closeLease" && busy?.leaseId === message.leaseId) busy = undefined;
        return port.send(workers.get(message.leaseId) ?? to, message);
      }
      port.send(to, message);
    },
    killWorker: (worker, why) => {
      if (busy?.worker.processId === worker.processId) busy = undefined;
      port.killWorker(worker, why);
    },
  };
}

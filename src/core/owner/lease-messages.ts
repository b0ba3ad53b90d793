/** What schedulers and raylets say of an owner's leases, taken to its task submitter. */
import type { Message } from "../../protocol/messages.js";
import type { LeasePool } from "./lease-pool.js";

/** True when it was such a message. */
export function receiveForLeases(leases: LeasePool, message: Message): boolean {
  switch (message.type) {
    case "leaseForwarded":
      leases.leaseForwarded(message.leaseId);
      return true;
    case "leaseGranted":
      leases.leaseGranted(message);
      return true;
    case "leaseRefused":
      leases.leaseRefused(message.leaseId, message.reason);
      return true;
    case "leaseCancelled":
      leases.leaseCancelled(message.leaseId);
      return true;
    case "leaseWanted":
      leases.leaseWanted(message.leaseId);
      return true;
    case "leaseLost":
      leases.leaseLost(message.leaseId, message.reason, message.bystander);
      return true;
    case "leaseBlocked":
      leases.leaseBlocked(message.leaseId);
      return true;
    case "tasksRecalled":
      leases.tasksRecalled(message.leaseId, message.upTo, message.started);
      return true;
    default:
      return false;
  }
}

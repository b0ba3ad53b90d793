/**
 * A driver: attaches to a raylet on its host and becomes a job.
 */
import { randomBytes } from "node:crypto";
import { GCS, type JobId, type NodeId, type ProcessId } from "../base/ids.js";
import { ConnectionError } from "../errors.js";
import { formatAddress, parseAddress } from "../io/address.js";
import { dial } from "../io/dial.js";
import type { Message } from "../protocol/messages.js";
import { CoreProcess } from "./core-process.js";
import { type NodeRecord, nodeRecords } from "./node-record.js";
import type { HandleHooks } from "./value-codec.js";

export interface DriverOptions {
  readonly secret: Uint8Array;
  readonly namespace: string;
  readonly handles: HandleHooks;
  readonly warn: (text: string) => void;
  /** Whether the output of the job's workers is to come here. */
  readonly showsOutput: boolean;
}

/**
 * Find the raylet of a cluster on this host.
 *
 * @throws ConnectionError when the head cannot be reached or no raylet of its cluster is here, AuthenticationError when
 *   the secrets differ.
 */
export async function findRaylet(address: string, secret: Uint8Array): Promise<NodeRecord> {
  const identity = { role: "tool", nodeId: "", processId: randomBytes(6).toString("hex") } as const;
  const head = await dial(parseAddress(address), { identity, secret });
  const peer = head.peer;
  head.destroy();
  const clusterId = "clusterId" in peer ? (peer.clusterId ?? "") : "";
  const record = nodeRecords(clusterId)[0];
  if (record !== undefined) return record;
  throw new ConnectionError(
    `the cluster at ${address} has no node on this host: join it with "mobula start --address ${address}" first`,
  );
}

/** Attach: the raylet knows the process, the GCS has made it a job. */
export async function attachDriver(record: NodeRecord, options: DriverOptions): Promise<CoreProcess> {
  const { nodeId, rayletPath, arenaPath, fallbackPath, arenaBytes } = record;
  const processId = randomBytes(6).toString("hex");
  const raylet = await dial(
    { unixPath: rayletPath },
    { identity: { role: "driver", nodeId, processId }, secret: options.secret },
  );
  const core = new CoreProcess({
    self: { nodeId: nodeId as NodeId, processId: processId as ProcessId },
    role: "driver",
    secret: options.secret,
    rayletPath,
    arenaPath,
    fallbackPath,
    arenaBytes,
    raylet,
    handles: options.handles,
    warn: options.warn,
  });
  core.namespace = options.namespace;
  core.jobId = await new Promise<JobId>((resolve, reject) => {
    core.onMessage = (message: Message) => {
      if (message.type === "jobStarted") resolve(message.jobId);
    };
    core.onRayletLost = (error) => {
      const why = error?.message ?? "it closed the connection";
      reject(
        new ConnectionError(
          `the raylet at ${formatAddress({ unixPath: rayletPath })} did not take this driver: ${why}`,
        ),
      );
    };
    core.raylet.send(GCS, { type: "attachDriver", namespace: options.namespace, showsOutput: options.showsOutput });
  });
  return core;
}

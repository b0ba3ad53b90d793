/**
 * What a process is told at its start by the one that starts it. It travels in one environment variable, which the
 * child deletes before it runs anything else: never in argv, where other users could read it.
 */
import type { NodeId } from "../base/ids.js";
import { amountsOf } from "../core/resources.js";
import { InvalidOptionError } from "../errors.js";
import type { NodeInfo } from "../protocol/messages.js";

export interface NodeConfig {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly isHead: boolean;
  /** Where the node listens for others; port 0 takes a free one. */
  readonly host: string;
  readonly port: number;
  /** The head to join, as `host:port`; empty for the head itself. */
  readonly headAddress: string;
  readonly secretHex: string;
  readonly resources: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly objectStoreBytes: number;
  /** Objects of nodes on the same host are copied from their mapped arenas. */
  readonly sameHost: boolean;
  readonly workerEntry: string;
  readonly execArgv: readonly string[];
  /** The cluster belongs to the process that started it and ends with it. */
  readonly endsWithParent: boolean;
  /** Where spilled objects go; empty for the session's own directory. */
  readonly spillDirectory: string;
  /** The most that spill files may take together. */
  readonly spillBytes: number;
}

/** Where this node's files are. */
export interface NodePlaces {
  readonly rayletPath: string;
  readonly arenaPath: string;
  /** Blocks for which the arena has no room. */
  readonly fallbackPath: string;
  readonly spillDirectory: string;
  readonly socketsDirectory: string;
  /** The file of the workers' claim words; empty without the addon. */
  readonly claimsPath: string;
}

export interface WorkerConfig {
  readonly nodeId: string;
  readonly processId: string;
  readonly clusterId: string;
  readonly secretHex: string;
  readonly rayletPath: string;
  readonly socketPath: string;
  readonly arenaPath: string;
  readonly fallbackPath: string;
  readonly arenaBytes: number;
  /** The file with its claim words, and where in it they are. Empty: the raylet asks by a pipe. */
  readonly claimsPath: string;
  readonly claimsPlace: number;
}

const VARIABLE = "MOBULA_PROCESS_CONFIG";

export function configEnvironment(config: NodeConfig | WorkerConfig): NodeJS.ProcessEnv {
  return { [VARIABLE]: JSON.stringify(config) };
}

/** @throws InvalidOptionError when the process was not started by mobula. */
export function takeConfig<Config extends NodeConfig | WorkerConfig>(): Config {
  const text = process.env[VARIABLE];
  delete process.env[VARIABLE];
  if (text === undefined)
    throw new InvalidOptionError("this program is started by mobula itself; use the mobula command");
  return JSON.parse(text) as Config;
}

/** What a node says over its IPC channel when it is ready. */
export interface NodeReady {
  readonly type: "mobula.ready";
  readonly address: string;
  readonly nodeId: string;
  readonly warnings: readonly string[];
}

/** Or why it cannot be. */
export interface NodeFailed {
  readonly type: "mobula.failed";
  readonly code: string;
  readonly message: string;
}

/** What the cluster is told of a node that listens at `port`. */
export function nodeInfoOf(config: NodeConfig, port: number): NodeInfo {
  const { nodeId, host, isHead, resources, labels, objectStoreBytes } = config;
  const total = amountsOf({ ...resources, objectStoreMemory: objectStoreBytes });
  return { nodeId: nodeId as NodeId, host, port, isHead, total, labels: new Map(Object.entries(labels)) };
}

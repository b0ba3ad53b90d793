/** The way from the command to a cluster. */
import { ConnectionError, InvalidOptionError } from "../errors.js";
import { parseAddress } from "../io/address.js";
import { loadSecret } from "../io/secret.js";
import { runningClusters } from "../io/session.js";
import { ClusterTool } from "../process/cluster-tool.js";

/** What is said, else `MOBULA_ADDRESS`, else the newest cluster of this user on this host. */
export function addressOf(said: string | undefined): string {
  const address = said ?? process.env["MOBULA_ADDRESS"] ?? "auto";
  if (address !== "" && address !== "auto") return checkedAddress(address);
  const newest = runningClusters()[0];
  if (newest !== undefined) return newest.address;
  throw new ConnectionError(
    'no cluster of this user runs on this host: start one with "mobula start --head", or name one with --address',
  );
}

/** @throws InvalidOptionError when it is no address, or not on the loopback. */
export function checkedAddress(address: string): string {
  const parsed = parseAddress(address);
  if ("host" in parsed) requireLoopback(parsed.host);
  return address;
}

/** @throws InvalidOptionError: what leaves the machine would not be encrypted. */
export function requireLoopback(host: string): void {
  if (/^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|::1)$/i.test(host)) return;
  throw new InvalidOptionError(
    `host ${host} is not on the loopback: off it TLS is required, which this version does not have. Use 127.0.0.1`,
  );
}

function connect(said: string | undefined): Promise<ClusterTool> {
  return ClusterTool.connect(addressOf(said), loadSecret());
}

/** Ask a cluster something, and close the connection whatever comes of it. */
export async function withCluster<T>(said: string | undefined, ask: (tool: ClusterTool) => Promise<T>): Promise<T> {
  const tool = await connect(said);
  try {
    return await ask(tool);
  } finally {
    tool.close();
  }
}

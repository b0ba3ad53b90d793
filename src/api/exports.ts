/** Everything that user code may import, in one list: `index.ts` shows it, workers find it by name. */
export {
  ActorDiedError,
  ActorNameTakenError,
  ActorNotFoundError,
  ActorUnavailableError,
  AlreadyInitializedError,
  AuthenticationError,
  ConnectionError,
  GetTimeoutError,
  InvalidOptionError,
  InvariantError,
  MobulaError,
  NodeDiedError,
  NotInitializedError,
  ObjectLostError,
  ObjectReconstructionError,
  ObjectStoreFullError,
  ObjectTooLargeError,
  OutOfDiskError,
  OutOfMemoryError,
  OwnerDiedError,
  PendingCallsLimitError,
  PlacementGroupError,
  ProtocolError,
  ReferenceReleasedError,
  RuntimeEnvError,
  SerializationError,
  TaskCancelledError,
  TaskError,
  TaskTimeoutError,
  TaskUnschedulableError,
  VersionMismatchError,
  WorkerCrashedError,
} from "../errors.js";
export { getActor, kill } from "./actor-handles.js";
export { get, put, wait } from "./get.js";
export { init, shutdown } from "./init.js";
export { inspectSerializability } from "./inspect-serializability.js";
export { remote } from "./remote.js";
export { Barrier, Semaphore, Signal } from "./signal.js";
export { availableResources, clusterResources, context, nodes } from "./state.js";

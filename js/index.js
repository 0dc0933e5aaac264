export {
  CancelledError,
  EryxError,
  ExecutionError,
  InitializationError,
  PackageError,
  PoolError,
  ResourceLimitError,
  SnapshotError,
  SuspendedError,
  SuspendExecution,
  TimeoutError,
} from "./errors.js";
export { RuntimeLibrary } from "./library.js";
export { ResourceLimits } from "./limits.js";
export { ExecutionHandle } from "./execution.js";
export { Sandbox } from "./sandbox.js";
export { Session } from "./session.js";
export { versions } from "./addon.js";
export { VfsStorage } from "./storage.js";

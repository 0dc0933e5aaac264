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
} from "./js/errors.js";
export { RuntimeLibrary } from "./js/library.js";
export { ResourceLimits } from "./js/limits.js";
export { ExecutionHandle } from "./js/execution.js";
export { Sandbox } from "./js/sandbox.js";
export { Session } from "./js/session.js";
export { versions } from "./js/native.js";
export { VfsStorage } from "./js/vfs.js";

export {
  CancelledError,
  EryxError,
  ExecutionError,
  InitializationError,
  PackageError,
  PoolError,
  ResourceLimitError,
  SnapshotError,
  TimeoutError,
} from "./js/errors.js";
export { RuntimeLibrary } from "./js/library.js";
export { ResourceLimits } from "./js/limits.js";
export { ExecutionHandle, Sandbox } from "./js/sandbox.js";
export { versions } from "./js/native.js";
export { VfsStorage } from "./js/vfs.js";

import { InitializationError, translateErrors } from "./errors.js";
import { dispatch } from "./events.js";
import {
  existsSync,
  getModule,
  join,
  readFileSync,
  requirePackage,
} from "./node.js";

/** @import { Addon, AddonRuntime } from "./types.js" */

const { arch, platform } = process;
/**
 * From this folder. The bundle lies above it: scripts/bundle.js.
 * @param {string} path
 */
const toPath = (path) => join(import.meta.dirname, path);

/** Which binaries this platform may load: on Linux, one per C library, tried in turn. */
const TRIPLES =
  platform === "linux"
    ? [`linux-${arch}-gnu`, `linux-${arch}-musl`]
    : [`${platform}-${arch}`];

/** @param {readonly string[]} attempts @returns {never} */
function fail(attempts) {
  throw new InitializationError(
    `@bsull/eryx has no binary for ${platform}-${arch} that can be loaded. Tried:\n${attempts.join("\n")}\n` +
      "From a checkout, run `npm run build`. As a dependency, install again without --no-optional.",
  );
}

/**
 * `require(file)` of an addon, without what resolves names: in a new process that takes 1 ms longer. As there, a file is loaded
 * once, so that copies of this package have the same classes.
 * @param {string} file
 * @returns {Addon}
 */
function loadFile(file) {
  const { Module: Class, _cache } =
    /** @type {typeof import("node:module") & { _cache: NodeJS.Dict<NodeJS.Module> }} */ (
      getModule()
    );
  if (_cache[file] === undefined) {
    const module = Object.assign(new Class(file), { filename: file });
    process.dlopen(module, file);
    module.loaded = true;
    _cache[file] = module;
  }
  return _cache[file].exports;
}

/** @returns {{ addon: Addon, triple: string }} */
function loadAddon() {
  const attempts = [];
  for (const triple of TRIPLES) {
    /** @type {[candidate: string, load: (candidate: string) => Addon][]} */
    const candidates = [
      [toPath(`../eryx.${triple}.node`), loadFile],
      [`@bsull/eryx-${triple}`, requirePackage],
    ];
    for (const [candidate, load] of candidates) {
      try {
        return { addon: load(candidate), triple };
      } catch (/** @type {any} */ error) {
        attempts.push(`- ${candidate}: ${error.message.split("\n")[0]}`);
      }
    }
  }
  return fail(attempts);
}

export const { addon, triple } = loadAddon();

/** The Python runtime's files: `ERYX_RUNTIME_DIR`, a checkout's own build, or the platform package. */
function findRuntimeDirectory() {
  const override = process.env.ERYX_RUNTIME_DIR;
  if (override !== undefined && override !== "") return override;
  const build = toPath("../target/eryx-runtime");
  if (existsSync(build)) return build;
  return toPath(`../../eryx-${triple}`);
}

/** @param {string} directory */
function loadRuntime(directory) {
  try {
    return translateErrors(() => new addon.Runtime(directory, dispatch));
  } catch (error) {
    // The core names no paths, but this one the caller chose, or can repair.
    if (error instanceof InitializationError)
      error.message += ` (in ${directory})`;
    throw error;
  }
}

/** @type {AddonRuntime | undefined} */
let runtime;
/** Loaded at first use, so that importing the package costs little. */
export function getRuntime() {
  runtime ??= loadRuntime(findRuntimeDirectory());
  return runtime;
}

/** Package version, Python version, runtime hash. */
export const versions = Object.freeze({
  get eryx() {
    return JSON.parse(readFileSync(toPath("../package.json"), "utf8")).version;
  },
  get python() {
    return getRuntime().versions()[0];
  },
  get wasmtime() {
    return getRuntime().versions()[1];
  },
  get runtime() {
    return getRuntime().versions()[2];
  },
});

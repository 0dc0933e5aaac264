import { InitializationError, translated } from "./errors.js";
import { existsSync, join, Module, readFileSync, required } from "./node.js";
import { dispatch } from "./events.js";

const { arch, platform } = process;
/** From this folder. The bundle lies above it: scripts/bundle.js. */
const here = (path) => join(import.meta.dirname, path);

/** Which binaries this platform may load: on Linux, one per C library, tried in turn. */
const TRIPLES =
  platform === "linux"
    ? [`linux-${arch}-gnu`, `linux-${arch}-musl`]
    : [`${platform}-${arch}`];

function fail(tried) {
  throw new InitializationError(
    `@bsull/eryx has no binary for ${platform}-${arch} that can be loaded. Tried:\n${tried.join("\n")}\n` +
      "From a checkout, run `npm run build`. As a dependency, install again without --no-optional.",
  );
}

/**
 * `require(file)` of an addon, without what resolves names: in a new process that takes 1 ms longer. As there, a file is loaded
 * once, so that copies of this package have the same classes.
 */
function loaded(file) {
  const { Module: Class, _cache } = Module();
  if (_cache[file] === undefined) {
    const module = Object.assign(new Class(file), { filename: file });
    process.dlopen(module, file);
    module.loaded = true;
    _cache[file] = module;
  }
  return _cache[file].exports;
}

function loadAddon() {
  const tried = [];
  for (const triple of TRIPLES) {
    for (const [candidate, load] of [
      [here(`../eryx.${triple}.node`), loaded],
      [`@bsull/eryx-${triple}`, required],
    ]) {
      try {
        return { addon: load(candidate), triple };
      } catch (error) {
        tried.push(`- ${candidate}: ${error.message.split("\n")[0]}`);
      }
    }
  }
  return fail(tried);
}

export const { addon, triple } = loadAddon();

/** The Python runtime's files: `ERYX_RUNTIME_DIR`, a checkout's own build, or the platform package. */
function runtimeDirectory() {
  const given = process.env.ERYX_RUNTIME_DIR;
  if (given !== undefined && given !== "") return given;
  const built = here("../target/eryx-runtime");
  if (existsSync(built)) return built;
  return here(`../../eryx-${triple}`);
}

function load(directory) {
  try {
    return translated(() => new addon.Runtime(directory, dispatch));
  } catch (error) {
    // The core names no paths, but this one the caller chose, or can repair.
    if (error instanceof InitializationError)
      error.message += ` (in ${directory})`;
    throw error;
  }
}

let theRuntime;
/** Loaded at first use, so that importing the package costs little. */
export function runtime() {
  theRuntime ??= load(runtimeDirectory());
  return theRuntime;
}

/** Package version, Python version, runtime hash. */
export const versions = Object.freeze({
  get eryx() {
    return JSON.parse(readFileSync(here("../package.json"), "utf8")).version;
  },
  get python() {
    return runtime().versions()[0];
  },
  get wasmtime() {
    return runtime().versions()[1];
  },
  get runtime() {
    return runtime().versions()[2];
  },
});

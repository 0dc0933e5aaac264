import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, platform } from "node:process";
import { fileURLToPath } from "node:url";
import { InitializationError, translated } from "./errors.js";
import { dispatch } from "./pending.js";

const require = createRequire(import.meta.url);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

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

function loadAddon() {
  const tried = [];
  for (const triple of TRIPLES) {
    for (const candidate of [
      here(`../eryx.${triple}.node`),
      `@bsull/eryx-${triple}`,
    ]) {
      try {
        return { addon: require(candidate), triple };
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
    return translated(() => new addon.NativeRuntime(directory, dispatch));
  } catch (error) {
    // The core names no paths, but this one the caller chose, or can repair.
    if (error instanceof InitializationError)
      error.message += ` (in ${directory})`;
    throw error;
  }
}

let loaded;
/** Loaded at first use, so that importing the package costs little. */
export function runtime() {
  loaded ??= load(runtimeDirectory());
  return loaded;
}

const { version } = JSON.parse(readFileSync(here("../package.json"), "utf8"));

/** Package version, Python version, runtime hash. */
export const versions = Object.freeze({
  eryx: version,
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

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, platform } from "node:process";
import { fileURLToPath } from "node:url";
import { InitializationError, translated } from "./errors.js";
import { dispatch } from "./pending.js";

const require = createRequire(import.meta.url);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The C library a Linux binary is made for. */
function libc() {
  return process.report?.getReport?.()?.header?.glibcVersionRuntime ===
    undefined
    ? "musl"
    : "gnu";
}

const TRIPLE =
  platform === "linux" ? `linux-${arch}-${libc()}` : `${platform}-${arch}`;

function fail(tried) {
  throw new InitializationError(
    `@bsull/eryx has no binary for ${TRIPLE} that can be loaded. Tried:\n${tried.join("\n")}\n` +
      "From a checkout, run `npm run build`. As a dependency, install again without --no-optional.",
    { code: "ERYX_INITIALIZATION" },
  );
}

function loadAddon() {
  const tried = [];
  for (const candidate of [
    here(`../eryx.${TRIPLE}.node`),
    `@bsull/eryx-${TRIPLE}`,
  ]) {
    try {
      return require(candidate);
    } catch (error) {
      tried.push(`- ${candidate}: ${error.message.split("\n")[0]}`);
    }
  }
  return fail(tried);
}

/** The Python runtime's files: `ERYX_RUNTIME_DIR`, a checkout's own build, or the platform package. */
function runtimeDirectory() {
  const given = process.env.ERYX_RUNTIME_DIR;
  if (given !== undefined && given !== "") return given;
  const built = here("../target/eryx-runtime");
  if (existsSync(built)) return built;
  return here(`../../eryx-${TRIPLE}`);
}

export const addon = loadAddon();

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

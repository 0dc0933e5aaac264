import { checkCallbacks, encodeCallbacks } from "./callbacks.js";
import {
  checkBoolean,
  checkBytes,
  checkFunction,
  checkMilliseconds,
  checkOptional,
  checkOptions,
  checkPath,
  checkRecord,
  checkText,
  isRecord,
  refuse,
} from "./check.js";
import { makeArgumentError } from "./errors.js";
import { getLibraryParts } from "./library.js";
import { resolveLimits } from "./limits.js";
import { resolve, types } from "./node.js";
import { toAddonStorage } from "./storage.js";
import { encode, encodeMembers } from "./wire.js";

/** @import { ExecutionOptions, SandboxOptions, ValueInput, Volume } from "../index.js" */
/** @import { CheckedExecutionOptions, CheckedSandboxOptions, Handlers, Inherited, ResumeOptions } from "./types.js" */

/** Options of the contract that this version does not have yet. */
const UNAVAILABLE_OPTIONS = ["network", "secrets", "packages", "imports"];
const SANDBOX_OPTIONS = [
  "resourceLimits",
  "callbacks",
  "libraries",
  "env",
  "vfs",
  "vfsMountPath",
  "volumes",
  "resultVariable",
  "sleepAfterMs",
  "onStdout",
  "onStderr",
  "onTrace",
  "trace",
];
const EXECUTION_OPTIONS = [
  "signal",
  "timeoutMs",
  "inputs",
  "stdin",
  "onStdout",
  "onStderr",
  "onTrace",
  "trace",
  "filename",
];

/** @type {readonly (keyof Handlers)[]} */
const HANDLERS = ["onStdout", "onStderr", "onTrace"];

const RESUME_OPTIONS = [
  ...new Set([...SANDBOX_OPTIONS, ...EXECUTION_OPTIONS]),
  "results",
  "errors",
];

/** @param {string} name @param {{ readonly [option: string]: unknown }} options */
function refuseUnavailable(name, options) {
  for (const key of UNAVAILABLE_OPTIONS) {
    if (options[key] !== undefined) {
      throw makeArgumentError(
        `${name}.${key}: this option is not available in this version`,
      );
    }
  }
}

/** @param {string} name @param {Handlers} options @returns {Handlers} */
function checkHandlers(name, options) {
  return Object.fromEntries(
    HANDLERS.filter((key) => options[key] !== undefined).map((key) => [
      key,
      checkFunction(`${name}.${key}`, options[key]),
    ]),
  );
}

/**
 * Names and values in turn. What may be in them, the core checks.
 * @param {SandboxOptions["env"]} [env]
 */
function checkEnv(env = {}) {
  checkRecord("options.env", env, "an object of strings");
  return Object.entries(env).flatMap(([key, value]) => [
    checkText("options.env", key),
    checkText(`options.env.${key}`, value),
  ]);
}

/**
 * Checked options of a sandbox: what the addon takes, and what stays in JavaScript.
 * @param {SandboxOptions | undefined} input
 * @returns {CheckedSandboxOptions}
 */
export function checkSandboxOptions(input) {
  const options = checkOptions(
    "options",
    input,
    SANDBOX_OPTIONS,
    UNAVAILABLE_OPTIONS,
  );
  refuseUnavailable("options", options);
  const limits = resolveLimits(options.resourceLimits);
  const { vfs } = options;
  const { callbacks, python, stubs } = gatherLibraryParts(options);
  const addonOptions = {
    executionTimeoutMs: limits.executionTimeoutMs ?? undefined,
    callbackTimeoutMs: limits.callbackTimeoutMs ?? undefined,
    maxCallbackInvocations: limits.maxCallbackInvocations ?? undefined,
    maxMemoryBytes: limits.maxMemoryBytes ?? undefined,
    maxOutputBytes: limits.maxOutputBytes ?? undefined,
    maxVfsBytes: limits.maxVfsBytes ?? undefined,
    maxFuel: limits.maxFuel ?? undefined,
    env: checkEnv(options.env),
    resultVariable: checkOptional(
      "options.resultVariable",
      options.resultVariable,
      checkText,
    ),
    callbacks: encodeCallbacks(callbacks),
    libraries: python,
    vfsMountPath: checkOptional(
      "options.vfsMountPath",
      options.vfsMountPath,
      checkText,
    ),
    volumes: checkVolumes(options.volumes),
    sleepAfterMs: checkSleep(options.sleepAfterMs),
  };
  const inherited = {
    handlers: checkHandlers("options", options),
    trace: checkOptional("options.trace", options.trace, checkBoolean) ?? false,
  };
  const storage = checkOptional("options.vfs", vfs, toAddonStorage);
  return { addonOptions, storage, limits, inherited, callbacks, stubs, vfs };
}

/**
 * null is never.
 *
 * @param {number | null} [sleepAfterMs]
 */
function checkSleep(sleepAfterMs) {
  if (sleepAfterMs === null) return Infinity;
  return checkOptional("options.sleepAfterMs", sleepAfterMs, (name, value) =>
    checkMilliseconds(name, value, "never"),
  );
}

/** @param {readonly Volume[]} [volumes] */
function checkVolumes(volumes = []) {
  if (!Array.isArray(volumes))
    refuse("options.volumes", volumes, "an array of volumes");
  return Array.from(volumes, (volume, index) =>
    checkVolume(`options.volumes[${index}]`, volume),
  );
}

/** @param {string} name @param {unknown} volume */
function checkVolume(name, volume) {
  if (!isRecord(volume))
    refuse(name, volume, "an object with hostPath and guestPath");
  const options = checkOptions(name, volume, [
    "hostPath",
    "guestPath",
    "readOnly",
  ]);
  const { hostPath, guestPath, readOnly = true } = options;
  return {
    hostPath: resolve(checkPath(`${name}.hostPath`, hostPath)),
    guestPath: checkText(`${name}.guestPath`, guestPath),
    readOnly: checkBoolean(`${name}.readOnly`, readOnly),
  };
}

/**
 * Callbacks, Python and stubs of the options and of their libraries.
 * @param {SandboxOptions} options
 */
function gatherLibraryParts({ callbacks, libraries = [] }) {
  if (!Array.isArray(libraries))
    refuse("options.libraries", libraries, "an array of RuntimeLibrary");
  const parts = Array.from(libraries, (library, index) =>
    getLibraryParts(`options.libraries[${index}]`, library),
  );
  return {
    callbacks: [
      ...checkCallbacks("options.callbacks", callbacks),
      ...parts.flatMap((part) => part.callbacks),
    ],
    python: parts.flatMap((part) => part.python),
    stubs: parts.flatMap((part) => part.stubs),
  };
}

/** @param {string} name @param {AbortSignal} signal */
function checkSignal(name, signal) {
  const isValid =
    typeof signal === "object" &&
    signal !== null &&
    typeof signal.addEventListener === "function";
  if (!isValid || typeof signal.aborted !== "boolean")
    refuse(name, signal, "an AbortSignal");
  return signal;
}

/** @param {string} name @param {unknown} stdin */
function checkStdin(name, stdin) {
  return typeof stdin === "string"
    ? Buffer.from(checkText(name, stdin))
    : checkBytes(name, stdin, "a string or a Uint8Array");
}

/** @param {string} name @param {unknown} inputs */
function checkInputs(name, inputs) {
  if (!isRecord(inputs) || types.isUint8Array(inputs))
    refuse(name, inputs, "an object of values");
  return encodeMembers(inputs, "inputs");
}

/**
 * A negative number is "no limit" to the addon.
 * @param {string} name
 * @param {unknown} timeout
 */
function checkTimeout(name, timeout) {
  return timeout === null ? -1 : checkMilliseconds(name, timeout);
}

/**
 * Checked options of one execution.
 * @param {ExecutionOptions | undefined} input
 * @param {Inherited} inherited
 * @returns {CheckedExecutionOptions}
 */
export function checkExecutionOptions(input, inherited) {
  if (input === undefined)
    return {
      addonOptions: {
        streams: toStreamBits(inherited.handlers),
        trace: inherited.trace,
      },
      handlers: inherited.handlers,
      signal: undefined,
    };
  const options = checkOptions("options", input, EXECUTION_OPTIONS);
  const handlers = {
    ...inherited.handlers,
    ...checkHandlers("options", options),
  };
  const { signal, timeoutMs, inputs, stdin, filename, trace } = options;
  const addonOptions = {
    timeoutMs: checkOptional("options.timeoutMs", timeoutMs, checkTimeout),
    inputs: checkOptional("options.inputs", inputs, checkInputs),
    stdin: checkOptional("options.stdin", stdin, checkStdin),
    filename: checkOptional("options.filename", filename, checkText),
    streams: toStreamBits(handlers),
    trace:
      checkOptional("options.trace", trace, checkBoolean) ?? inherited.trace,
  };
  return {
    addonOptions,
    handlers,
    signal: checkOptional("options.signal", signal, checkSignal),
  };
}

/**
 * Options of Session.resume(): those of a session, those of an execution, and the answers to its calls.
 * @param {ResumeOptions | undefined} input
 */
export function checkResumeOptions(input) {
  const {
    results = {},
    errors = {},
    ...options
  } = checkOptions("options", input, RESUME_OPTIONS, UNAVAILABLE_OPTIONS);
  for (const name of /** @type {const} */ (["inputs", "filename"])) {
    if (options[name] !== undefined)
      throw makeArgumentError(
        `options.${name}: the execution has begun with its own`,
      );
  }
  const pick = (/** @type {readonly string[]} */ names) =>
    Object.fromEntries(
      Object.entries(options).filter(
        ([name, value]) => value !== undefined && names.includes(name),
      ),
    );
  return {
    sessionOptions: pick([...SANDBOX_OPTIONS, ...UNAVAILABLE_OPTIONS]),
    executionOptions: pick(EXECUTION_OPTIONS),
    answers: encodeAnswers(results, errors),
  };
}

/**
 * `[[[id, value], ..], [[id, text], ..]]`
 * @param {{ readonly [id: string]: ValueInput }} results
 * @param {{ readonly [id: string]: string }} errors
 */
function encodeAnswers(results, errors) {
  const values = checkAnswers("results", results, (path, value) =>
    encode(value, path),
  );
  const texts = checkAnswers("errors", errors, (path, text) =>
    checkText(`options.${path}`, text),
  );
  for (const [id] of texts) {
    if (Object.hasOwn(results, id))
      throw makeArgumentError(`options.errors[${id}]: results answers it too`);
  }
  return encodeMembers([values, texts], "results");
}

/**
 * `[[id, answer], ..]`, where `check(path, answer)` throws if an answer is not one.
 * @template Answer
 * @param {string} name
 * @param {{ readonly [id: string]: Answer }} answers
 * @param {(path: string, answer: Answer) => unknown} check
 * @returns {[id: number, answer: Answer][]}
 */
function checkAnswers(name, answers, check) {
  checkRecord(`options.${name}`, answers, "an object of answers by id");
  return Object.entries(answers).map(([id, answer]) => {
    if (!/^(0|[1-9]\d{0,14})$/.test(id))
      refuse(`options.${name}`, id, "ids of pending calls");
    check(`${name}[${id}]`, answer);
    return [Number(id), answer];
  });
}

/** @param {Handlers} handlers */
function toStreamBits({ onStdout, onStderr, onTrace }) {
  return (
    (onStdout === undefined ? 0 : 1) +
    (onStderr === undefined ? 0 : 2) +
    (onTrace === undefined ? 0 : 4)
  );
}

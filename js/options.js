import { checkCallbacks, encodeCallbacks } from "./callbacks.js";
import {
  checkBoolean,
  checkBytes,
  checkFunction,
  checkMilliseconds,
  checkOptions,
  checkPath,
  checkRecord,
  checkText,
  isRecord,
  optional,
  refuse,
} from "./check.js";
import { invalidArgument } from "./errors.js";
import { partsOf } from "./library.js";
import { resolveLimits } from "./limits.js";
import { resolve, types } from "./node.js";
import { toAddonStorage } from "./storage.js";
import { encode, encodeMembers } from "./wire.js";

/** Options of the contract that this version does not have yet. */
const SANDBOX_LATER = ["network", "secrets", "packages", "imports"];
const SANDBOX = [
  "resourceLimits",
  "callbacks",
  "libraries",
  "env",
  "vfs",
  "vfsMountPath",
  "volumes",
  "resultVariable",
  "onStdout",
  "onStderr",
  "onTrace",
  "trace",
];
const EXECUTION = [
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

const RESUME = [...new Set([...SANDBOX, ...EXECUTION]), "results", "errors"];

function refuseLater(name, options) {
  for (const key of SANDBOX_LATER) {
    if (options[key] !== undefined) {
      throw invalidArgument(
        `${name}.${key}: this option is not available in this version`,
      );
    }
  }
}

function handlers(name, options) {
  const found = {};
  for (const key of ["onStdout", "onStderr", "onTrace"]) {
    if (options[key] !== undefined)
      found[key] = checkFunction(`${name}.${key}`, options[key]);
  }
  return found;
}

/** Names and values in turn. What may be in them, the core checks. */
function checkEnv(env = {}) {
  checkRecord("options.env", env, "an object of strings");
  return Object.entries(env).flatMap(([key, value]) => [
    checkText("options.env", key),
    checkText(`options.env.${key}`, value),
  ]);
}

/** Checked options of a sandbox: what the addon takes, and what stays in JavaScript. */
export function sandboxOptions(given) {
  const options = checkOptions("options", given, SANDBOX, SANDBOX_LATER);
  refuseLater("options", options);
  const limits = resolveLimits(options.resourceLimits);
  const { vfs } = options;
  const { callbacks, python, stubs } = libraryParts(options);
  const addonOptions = {
    executionTimeoutMs: limits.executionTimeoutMs ?? undefined,
    callbackTimeoutMs: limits.callbackTimeoutMs ?? undefined,
    maxCallbackInvocations: limits.maxCallbackInvocations ?? undefined,
    maxMemoryBytes: limits.maxMemoryBytes ?? undefined,
    maxOutputBytes: limits.maxOutputBytes ?? undefined,
    maxVfsBytes: limits.maxVfsBytes ?? undefined,
    maxFuel: limits.maxFuel ?? undefined,
    env: checkEnv(options.env),
    resultVariable: optional(
      "options.resultVariable",
      options.resultVariable,
      checkText,
    ),
    callbacks: encodeCallbacks(callbacks),
    libraries: python,
    vfsMountPath: optional(
      "options.vfsMountPath",
      options.vfsMountPath,
      checkText,
    ),
    volumes: checkVolumes(options.volumes),
  };
  const inherited = {
    handlers: handlers("options", options),
    trace: optional("options.trace", options.trace, checkBoolean) ?? false,
  };
  const storage = optional("options.vfs", vfs, toAddonStorage);
  return { addonOptions, storage, limits, inherited, callbacks, stubs, vfs };
}

function checkVolumes(volumes = []) {
  if (!Array.isArray(volumes))
    refuse("options.volumes", volumes, "an array of volumes");
  return Array.from(volumes, (volume, index) =>
    checkVolume(`options.volumes[${index}]`, volume),
  );
}

function checkVolume(name, volume) {
  if (!isRecord(volume))
    refuse(name, volume, "an object with hostPath and guestPath");
  const given = checkOptions(name, volume, [
    "hostPath",
    "guestPath",
    "readOnly",
  ]);
  const { hostPath, guestPath, readOnly = true } = given;
  return {
    hostPath: resolve(checkPath(`${name}.hostPath`, hostPath)),
    guestPath: checkText(`${name}.guestPath`, guestPath),
    readOnly: checkBoolean(`${name}.readOnly`, readOnly),
  };
}

/** Callbacks, Python and stubs of the options and of their libraries. */
function libraryParts({ callbacks, libraries = [] }) {
  if (!Array.isArray(libraries))
    refuse("options.libraries", libraries, "an array of RuntimeLibrary");
  const parts = Array.from(libraries, (library, index) =>
    partsOf(`options.libraries[${index}]`, library),
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

function checkSignal(name, signal) {
  const good =
    typeof signal === "object" &&
    signal !== null &&
    typeof signal.addEventListener === "function";
  if (!good || typeof signal.aborted !== "boolean")
    refuse(name, signal, "an AbortSignal");
  return signal;
}

function checkStdin(name, stdin) {
  return typeof stdin === "string"
    ? Buffer.from(checkText(name, stdin))
    : checkBytes(name, stdin, "a string or a Uint8Array");
}

function checkInputs(name, inputs) {
  if (!isRecord(inputs) || types.isUint8Array(inputs))
    refuse(name, inputs, "an object of values");
  return encodeMembers(inputs, "inputs");
}

/** A negative number is "no limit" to the addon. */
function checkTimeout(name, timeout) {
  return timeout === null ? -1 : checkMilliseconds(name, timeout);
}

/** Checked options of one execution. */
export function executionOptions(given, inherited) {
  if (given === undefined)
    return {
      addonOptions: {
        streams: streams(inherited.handlers),
        trace: inherited.trace,
      },
      handlers: inherited.handlers,
      signal: undefined,
    };
  const options = checkOptions("options", given, EXECUTION);
  const found = { ...inherited.handlers, ...handlers("options", options) };
  const { signal, timeoutMs, inputs, stdin, filename, trace } = options;
  const addonOptions = {
    timeoutMs: optional("options.timeoutMs", timeoutMs, checkTimeout),
    inputs: optional("options.inputs", inputs, checkInputs),
    stdin: optional("options.stdin", stdin, checkStdin),
    filename: optional("options.filename", filename, checkText),
    streams: streams(found),
    trace: optional("options.trace", trace, checkBoolean) ?? inherited.trace,
  };
  return {
    addonOptions,
    handlers: found,
    signal: optional("options.signal", signal, checkSignal),
  };
}

/** Options of Session.resume(): those of a session, those of an execution, and the answers to its calls. */
export function resumeOptions(given) {
  const {
    results = {},
    errors = {},
    ...options
  } = checkOptions("options", given, RESUME, SANDBOX_LATER);
  for (const name of ["inputs", "filename"]) {
    if (options[name] !== undefined)
      throw invalidArgument(
        `options.${name}: the execution has begun with its own`,
      );
  }
  const pick = (names) =>
    Object.fromEntries(
      names
        .filter((name) => options[name] !== undefined)
        .map((name) => [name, options[name]]),
    );
  return {
    session: pick([...SANDBOX, ...SANDBOX_LATER]),
    execution: pick(EXECUTION),
    answers: encodeAnswers(results, errors),
  };
}

/** `[[[id, value], ..], [[id, text], ..]]` */
function encodeAnswers(results, errors) {
  const values = answersOf("results", results, (path, value) =>
    encode(value, path),
  );
  const texts = answersOf("errors", errors, (path, text) =>
    checkText(`options.${path}`, text),
  );
  for (const [id] of texts) {
    if (Object.hasOwn(results, id))
      throw invalidArgument(`options.errors[${id}]: results answers it too`);
  }
  return encodeMembers([values, texts], "results");
}

/** `[[id, answer], ..]`, where `check(path, answer)` throws if an answer is not one. */
function answersOf(name, answers, check) {
  checkRecord(`options.${name}`, answers, "an object of answers by id");
  return Object.entries(answers).map(([id, answer]) => {
    if (!/^(0|[1-9]\d{0,14})$/.test(id))
      refuse(`options.${name}`, id, "ids of pending calls");
    check(`${name}[${id}]`, answer);
    return [Number(id), answer];
  });
}

function streams({ onStdout, onStderr, onTrace }) {
  return (
    (onStdout === undefined ? 0 : 1) +
    (onStderr === undefined ? 0 : 2) +
    (onTrace === undefined ? 0 : 4)
  );
}

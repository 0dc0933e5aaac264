import { addon } from "./addon.js";
import {
  checkAmount,
  checkBoolean,
  checkBytes,
  checkOptions,
  checkPath,
  checkText,
  refuse,
} from "./check.js";
import { translateErrors } from "./errors.js";
import { getOs } from "./node.js";

/** @import { AddonStorage } from "./types.js" */

const DEFAULT_MAX_BYTES = 67_108_864;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** As the decoder itself has it. */
const NO_TEXT = "ERR_ENCODING_INVALID_ENCODED_DATA";

/** @type {WeakMap<object, AddonStorage>} */
const addonStorages = new WeakMap();

/**
 * What the addon knows a storage as.
 * @param {string} name
 * @param {object} storage
 * @returns {AddonStorage}
 */
export function toAddonStorage(name, storage) {
  const addonStorage = addonStorages.get(storage);
  if (addonStorage === undefined) refuse(name, storage, "a VfsStorage");
  return addonStorage;
}

/**
 * A VfsStorage of one that the addon made.
 * @param {AddonStorage} addonStorage
 * @returns {VfsStorage}
 */
export function toVfsStorage(addonStorage) {
  const storage = Object.create(VfsStorage.prototype);
  addonStorages.set(storage, addonStorage);
  return storage;
}

/** In-memory files. Shared by every sandbox it is given to, wherever each one mounts it. */
export class VfsStorage {
  /** @param {{ maxBytes?: number | null }} [options] */
  constructor(options) {
    const maxBytes = checkMaxBytes(options, DEFAULT_MAX_BYTES);
    addonStorages.set(this, new addon.Storage(maxBytes ?? undefined));
  }

  /** @param {Uint8Array} snapshot @param {{ maxBytes?: number | null }} [options] */
  static from(snapshot, options) {
    const bytes = checkBytes("snapshot", snapshot);
    const maxBytes = checkMaxBytes(options, undefined);
    // Without a limit, and without a word about it: two things that the addon tells apart.
    const limit = maxBytes === null ? 2 ** 63 : maxBytes;
    return toVfsStorage(
      translateErrors(() => addon.Storage.fromSnapshot(bytes, limit)),
    );
  }

  /** @param {string} path */
  readFile(path) {
    return call(this, "open", path, (files, path) => files.readFile(path));
  }

  /** @param {string} path */
  readTextFile(path) {
    const bytes = this.readFile(path);
    try {
      return decoder.decode(bytes);
    } catch (/** @type {any} */ error) {
      if (error.code !== NO_TEXT) throw error; // longer than a string can be
      const refusal = new TypeError(
        `expected a file with UTF-8 text, got other bytes, read '${path}'`,
      );
      throw Object.assign(refusal, { code: NO_TEXT });
    }
  }

  /** @param {string} path @param {string | Uint8Array} data */
  writeFile(path, data) {
    const bytes =
      typeof data === "string"
        ? Buffer.from(checkText("data", data))
        : checkBytes("data", data, "a string or a Uint8Array");
    call(this, "open", path, (files, path) => files.writeFile(path, bytes));
  }

  /** @param {string} path @param {{ recursive?: boolean }} [options] */
  mkdir(path, options) {
    const recursive = checkRecursive(options);
    call(this, "mkdir", path, (files, path) => files.mkdir(path, recursive));
  }

  /** @param {string} path */
  readdir(path) {
    return call(this, "scandir", path, (files, path) => files.readdir(path));
  }

  /** @param {string} path */
  stat(path) {
    return call(this, "stat", path, (files, path) => files.stat(path));
  }

  /** @param {string} path */
  exists(path) {
    return call(this, "stat", path, (files, path) => files.exists(path));
  }

  /** @param {string} path @param {{ recursive?: boolean }} [options] */
  remove(path, options) {
    const recursive = checkRecursive(options);
    call(this, "rm", path, (files, path) => files.remove(path, recursive));
  }

  /** @param {string} from @param {string} to */
  rename(from, to) {
    const source = checkPath("from", from);
    const dest = checkPath("to", to);
    call(
      this,
      "rename",
      source,
      (files, path) => files.rename(path, dest),
      dest,
    );
  }

  get usedBytes() {
    return toAddonStorage("this", this).usedBytes();
  }

  snapshot() {
    const addonStorage = toAddonStorage("this", this);
    return translateErrors(() => addonStorage.snapshot());
  }
}

/**
 * @template Default
 * @param {{ maxBytes?: number | null } | undefined} options
 * @param {Default} otherwise
 * @returns {number | null | Default}
 */
function checkMaxBytes(options, otherwise) {
  const { maxBytes } = checkOptions("options", options, ["maxBytes"]);
  if (maxBytes === undefined) return otherwise;
  if (maxBytes === null) return null;
  return checkAmount("options.maxBytes", maxBytes, "bytes");
}

/** @param {{ recursive?: boolean } | undefined} options */
function checkRecursive(options) {
  const { recursive = false } = checkOptions("options", options, ["recursive"]);
  return checkBoolean("options.recursive", recursive);
}

/**
 * Calls the addon. What it refuses becomes an error as node:fs throws it.
 * @template T
 * @param {VfsStorage} storage
 * @param {string} syscall
 * @param {string} path
 * @param {(files: AddonStorage, path: string) => T} act
 * @param {string} [dest]
 * @returns {T}
 */
function call(storage, syscall, path, act, dest) {
  const addonStorage = toAddonStorage("this", storage);
  const checkedPath = checkPath("path", path);
  try {
    return act(addonStorage, checkedPath);
  } catch (error) {
    throw toFileError(error, syscall, checkedPath, dest);
  }
}

/**
 * The addon throws `CODE reason`.
 * @param {any} reported
 * @param {string} syscall
 * @param {string} path
 * @param {string | undefined} dest
 */
function toFileError(reported, syscall, path, dest) {
  const [, code, reason] = /^(E[A-Z]+) ([^]*)$/.exec(reported.message) ?? [];
  if (code === undefined) return reported;
  const target = dest === undefined ? "" : ` -> '${dest}'`;
  const error = new Error(`${code}: ${reason}, ${syscall} '${path}'${target}`);
  /** @type {NodeJS.Dict<number>} */
  const numbers = getOs().constants.errno;
  const number = numbers[code];
  return Object.assign(
    error,
    number === undefined ? {} : { errno: -number },
    { code, syscall, path },
    dest === undefined ? {} : { dest },
  );
}

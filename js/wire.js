import { getConstructorName, isDetached } from "./check.js";
import { makeArgumentError } from "./errors.js";
import { types } from "./node.js";

/** @import { Value } from "../index.js" */

// The wire format of values: docs/wire-format.md. The core checks what is written here once more.

const MAX_DEPTH = 256;
const MAX_VALUES = 2 ** 20;
const MAX_BYTES = 64 * 2 ** 20;
const TAG = Object.fromEntries(
  [..."ntfiIdsblm"].map((tag) => [tag, tag.charCodeAt(0)]),
);
const MIN_INT = -(2n ** 63n);
const MAX_INT = 2n ** 63n - 1n;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** @typedef {{ readonly bytes: Uint8Array, readonly view: DataView, at: number }} Reader */

/** A growing buffer. */
class Writer {
  bytes = new Uint8Array(256);
  view = new DataView(this.bytes.buffer);
  size = 0;
  values = 0;

  /** @param {string} root */
  constructor(root) {
    this.root = root;
  }

  /** @param {number} extra */
  reserve(extra) {
    if (this.size + extra > MAX_BYTES)
      refuse(this.root, `value of more than ${MAX_BYTES} bytes`);
    if (this.size + extra <= this.bytes.length) return;
    const bytes = new Uint8Array(
      Math.max(this.bytes.length * 2, this.size + extra),
    );
    bytes.set(this.bytes.subarray(0, this.size));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }

  /** @param {number} tag */
  writeTag(tag) {
    this.reserve(1);
    this.bytes[this.size++] = tag;
  }

  /** @param {number} count */
  writeCount(count) {
    this.reserve(4);
    this.view.setUint32(this.size, count, true);
    this.size += 4;
  }

  /**
   * The header of a container. All values of all containers share one budget, as in the core.
   * @param {number} tag
   * @param {number} count
   */
  writeHeader(tag, count) {
    this.values += count;
    if (this.values > MAX_VALUES)
      refuse(this.root, `value of more than ${MAX_VALUES} values`);
    this.writeTag(tag);
    this.writeCount(count);
  }

  /** @param {Uint8Array} bytes */
  writeBlob(bytes) {
    this.writeCount(bytes.length);
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.size);
    this.size += bytes.length;
  }

  /** @param {string} text */
  writeText(text) {
    // Three bytes are the most that UTF-8 needs for a UTF-16 unit; where that may be too much, they are counted.
    const most = text.length * 3;
    this.reserve(
      4 + (this.size + most > MAX_BYTES ? Buffer.byteLength(text) : most),
    );
    const { written } = encoder.encodeInto(
      text,
      this.bytes.subarray(this.size + 4),
    );
    this.view.setUint32(this.size, written, true);
    this.size += 4 + written;
  }

  /** @param {bigint} value */
  writeInt(value) {
    this.writeTag(TAG.i);
    this.reserve(8);
    this.view.setBigInt64(this.size, value, true);
    this.size += 8;
  }

  /** @param {number} value */
  writeFloat(value) {
    this.writeTag(TAG.d);
    this.reserve(8);
    this.view.setFloat64(this.size, value, true);
    this.size += 8;
  }
}

/**
 * Encodes `value`. `root` names it in errors: `inputs.rows[3].when: Date is not transferable`.
 * @param {unknown} value
 * @param {string} root
 */
export function encode(value, root) {
  return encodeAt(value, root, 0);
}

/**
 * As `encode`, for an object whose members may be nested as deep as a value.
 * @param {object} object
 * @param {string} root
 */
export function encodeMembers(object, root) {
  return encodeAt(object, root, -1);
}

/** @param {unknown} value @param {string} root @param {number} depth */
function encodeAt(value, root, depth) {
  const writer = new Writer(root);
  write(writer, value, root, depth);
  return writer.bytes.subarray(0, writer.size);
}

/** @param {string} path @param {string} what @returns {never} */
function refuse(path, what) {
  throw makeArgumentError(`${path}: ${what} is not transferable`);
}

/**
 * @param {Writer} writer
 * @param {unknown} value
 * @param {string} path
 * @param {number} depth
 * @returns {void}
 */
function write(writer, value, path, depth) {
  switch (typeof value) {
    case "undefined":
      return writer.writeTag(TAG.n);
    case "boolean":
      return writer.writeTag(value ? TAG.t : TAG.f);
    case "number":
      // -0 is a float: Python's int has none.
      return Number.isSafeInteger(value) && !Object.is(value, -0)
        ? writer.writeInt(BigInt(value))
        : writer.writeFloat(value);
    case "bigint":
      return writeBigInt(writer, value);
    case "string":
      if (!value.isWellFormed()) refuse(path, "string with a lone surrogate");
      writer.writeTag(TAG.s);
      return writer.writeText(value);
    case "object":
      return value === null
        ? writer.writeTag(TAG.n)
        : writeObject(writer, value, path, depth);
    default:
      return refuse(path, typeof value);
  }
}

/** @param {Writer} writer @param {bigint} value */
function writeBigInt(writer, value) {
  if (value >= MIN_INT && value <= MAX_INT) return writer.writeInt(value);
  const digits = [];
  for (let rest = value; rest !== 0n && rest !== -1n; rest >>= 64n)
    digits.push(BigInt.asUintN(64, rest));
  digits.push(value < 0n ? 2n ** 64n - 1n : 0n); // the sign
  const bytes = new Uint8Array(new BigUint64Array(digits).buffer);
  writer.writeTag(TAG.I);
  return writer.writeBlob(bytes);
}

/**
 * @param {Writer} writer
 * @param {object} value
 * @param {string} path
 * @param {number} depth
 * @returns {void}
 */
function writeObject(writer, value, path, depth) {
  if (depth >= MAX_DEPTH)
    refuse(
      path.slice(0, 200),
      `cyclic value, or one nested deeper than ${MAX_DEPTH} levels,`,
    );
  if (Array.isArray(value)) {
    const { length } = value;
    writer.writeHeader(TAG.l, length);
    for (let index = 0; index < length; index++)
      write(writer, value[index], `${path}[${index}]`, depth + 1);
    return undefined;
  }
  if (types.isUint8Array(value)) {
    if (isDetached(value)) refuse(path, "detached Uint8Array");
    writer.writeTag(TAG.b);
    return writer.writeBlob(value);
  }
  const prototype = Object.getPrototypeOf(value);
  // Plain objects of other realms have a prototype whose own prototype is null.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
    refuse(path, getConstructorName(value));
  return writeEntries(
    writer,
    /** @type {{ readonly [key: string]: unknown }} */ (value),
    path,
    depth,
  );
}

/**
 * @param {Writer} writer
 * @param {{ readonly [key: string]: unknown }} value
 * @param {string} path
 * @param {number} depth
 */
function writeEntries(writer, value, path, depth) {
  const keys = Object.keys(value);
  writer.writeHeader(TAG.m, keys.length);
  for (const key of keys) {
    if (!key.isWellFormed())
      refuse(path, "object with a lone surrogate in a key");
    writer.writeText(key);
    write(writer, value[key], `${path}.${key}`, depth + 1);
  }
}

/**
 * Decodes what the core encoded. What shape it has, the caller knows.
 * @param {Uint8Array} bytes
 * @returns {any}
 */
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return read({ bytes, view, at: 0 });
}

/** @param {Reader} reader @returns {Value} */
function read(reader) {
  switch (reader.bytes[reader.at++]) {
    case TAG.n:
      return null;
    case TAG.t:
      return true;
    case TAG.f:
      return false;
    case TAG.i:
      return readInt(reader);
    case TAG.I:
      return readBigInt(readBlob(reader));
    case TAG.d:
      reader.at += 8;
      return reader.view.getFloat64(reader.at - 8, true);
    case TAG.s:
      return decoder.decode(readBlob(reader));
    case TAG.b:
      return readBlob(reader).slice();
    case TAG.l:
      return Array.from({ length: readCount(reader) }, () => read(reader));
    default:
      return readEntries(reader);
  }
}

/** @param {Reader} reader */
function readCount(reader) {
  reader.at += 4;
  return reader.view.getUint32(reader.at - 4, true);
}

/** @param {Reader} reader */
function readBlob(reader) {
  const size = readCount(reader);
  reader.at += size;
  return reader.bytes.subarray(reader.at - size, reader.at);
}

/** @param {Reader} reader */
function readInt(reader) {
  reader.at += 8;
  const value = reader.view.getBigInt64(reader.at - 8, true);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** @param {Uint8Array} bytes */
function readBigInt(bytes) {
  const hex = Buffer.from(bytes).reverse().toString("hex");
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`));
}

/** @param {Reader} reader */
function readEntries(reader) {
  /** @type {{ [key: string]: Value }} */
  const object = {};
  for (let left = readCount(reader); left > 0; left--) {
    const key = decoder.decode(readBlob(reader));
    const value = read(reader);
    setOwn(object, key, value);
  }
  return object;
}

/**
 * Sets a property of any name. Plain assignment would run the setter of this one.
 * @template T
 * @param {{ [key: string]: T }} object
 * @param {string} key
 * @param {T} value
 */
export function setOwn(object, key, value) {
  if (key !== "__proto__") {
    object[key] = value;
    return;
  }
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

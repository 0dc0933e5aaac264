import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createXXHash128 } from "hash-wasm";
import { expect } from "vitest";
import { type SandboxOptions, Session, SnapshotError } from "../../index.js";
import { catchRejection, getNodeStdout } from "../helpers.js";

// The layout of snapshots and checkpoints: crates/eryx/src/snapshot.rs.
export const VERSION = 8;
export const KIND = 12;
export const RUNTIME = 16;
export const MEMORY = 48;
export const RUNS = 56;
export const HOST_SIZE = 60;
export const PACKED_SIZE = 64;
export const TREE_SIZES = 72;
export const HEADER = 88;
export const CHECKSUM = 16;
/** The bit of a run's number of pages that says that they are XORed with the image's. */
export const XORED = 2 ** 31;

const xxh128 = await createXXHash128();

/** A copy that `change` was applied to, its checksum as it was. */
export function changeCopy(
  bytes: Uint8Array,
  change: (copy: Buffer) => void,
): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}

/** A snapshot of this body, with the checksum that is right for it. */
export function sealBody(body: Uint8Array): Buffer {
  return Buffer.concat([body, xxh128.init().update(body).digest("binary")]);
}

/** A copy that `change` was applied to, with the right checksum. */
export function forgeCopy(
  bytes: Uint8Array,
  change: (body: Buffer) => void,
): Buffer {
  return sealBody(
    changeCopy(bytes.subarray(0, bytes.length - CHECKSUM), change),
  );
}

export interface Parts {
  header: Buffer;
  host: Buffer;
  /** First page, and number of pages, with XORED added if they are. */
  runs: [number, number][];
  packed: Buffer;
  trees: Buffer;
}

export function takeApart(bytes: Uint8Array): Parts {
  const all = Buffer.from(bytes);
  const count = all.readUInt32LE(RUNS);
  const hostEnd = HEADER + all.readUInt32LE(HOST_SIZE);
  const runs = Array.from({ length: count }, (_, n): [number, number] => [
    all.readUInt32LE(hostEnd + 8 * n),
    all.readUInt32LE(hostEnd + 8 * n + 4),
  ]);
  const packedEnd =
    hostEnd + 8 * count + Number(all.readBigUInt64LE(PACKED_SIZE));
  return {
    header: all.subarray(0, HEADER),
    host: all.subarray(HEADER, hostEnd),
    runs,
    packed: all.subarray(hostEnd + 8 * count, packedEnd),
    trees: all.subarray(packedEnd, all.length - CHECKSUM),
  };
}

/** A snapshot of these parts, whose sizes and checksum are right. */
export function assemble(all: Parts): Buffer {
  const { header, host, runs, packed, trees } = all;
  const sizes = changeCopy(header, (copy) => {
    copy.writeUInt32LE(runs.length, RUNS);
    copy.writeUInt32LE(host.length, HOST_SIZE);
    copy.writeBigUInt64LE(BigInt(packed.length), PACKED_SIZE);
  });
  const table = Buffer.alloc(8 * runs.length);
  runs.flat().forEach((number, n) => table.writeUInt32LE(number >>> 0, 4 * n));
  return sealBody(Buffer.concat([sizes, host, table, packed, trees]));
}

/** A zstd frame of `count` pages of one byte, as run-length blocks. */
export function makePages(byte: number, count: number): Buffer {
  const block = Buffer.alloc(4 * count, byte);
  for (let n = 0; n < count; n++)
    block.writeUIntLE((4096 << 3) | 2 | (n === count - 1 ? 1 : 0), 4 * n, 3);
  // Magic, a frame without a content size, a window of 1 MiB.
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x50]), block]);
}

/** The same numbers in each run of the tests. */
export function makeRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The message of the SnapshotError that a promise has to reject with. */
export async function catchSnapshotError(
  promise: Promise<unknown>,
): Promise<string> {
  const error = await catchRejection(promise);
  expect(error, error.message).toBeInstanceOf(SnapshotError);
  expect(error.code).toBe("ERYX_SNAPSHOT");
  return error.message.replace("the snapshot cannot be restored: ", "");
}

/** What a module prints in another process, where `bytes` is what is given here. */
export async function runElsewhere(
  bytes: Uint8Array,
  source: string,
): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "eryx-"));
  const file = join(directory, "bytes");
  writeFileSync(file, bytes);
  try {
    return await getNodeStdout(`
import { readFileSync } from "node:fs";
import { Sandbox, Session, SuspendExecution } from "@bsull/eryx";
const bytes = readFileSync(${JSON.stringify(file)});
${source}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export const evaluate = async (session: Session, code: string) =>
  (await session.execute(code)).value;

export async function takeSnapshot(code: string, options?: SandboxOptions) {
  await using session = new Session(options);
  await session.execute(code);
  return await session.snapshotState();
}

export async function restoreSession(
  bytes: Uint8Array,
  options?: SandboxOptions,
) {
  const session = new Session(options);
  await session.restoreState(bytes);
  return session;
}

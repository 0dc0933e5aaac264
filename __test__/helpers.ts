import { execFile } from "node:child_process";
import { cpuUsage } from "node:process";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import {
  EryxError,
  type ExecuteResult,
  type ExecutionError,
  type ExecutionOptions,
  Sandbox,
  type VfsStorage,
} from "../index.js";

/** The package's own directory: child processes started in it can import it by its name. */
export const root = fileURLToPath(new URL("..", import.meta.url));

const shared = new Sandbox();

/** Runs `code` in a sandbox with default options. */
export function run(
  code: string,
  options?: ExecutionOptions,
): Promise<ExecuteResult> {
  return shared.execute(code, options);
}

/** The text that `code` prints. */
export async function getStdout(
  code: string,
  options?: ExecutionOptions,
): Promise<string> {
  return (await run(code, options)).stdout;
}

/** The error of a promise that has to reject. */
export async function catchRejection<E = EryxError>(
  promise: Promise<unknown>,
): Promise<E> {
  const [outcome] = await Promise.allSettled([promise]);
  if (outcome.status === "fulfilled")
    expect.fail(`resolved with ${JSON.stringify(outcome.value)}`);
  return outcome.reason as E;
}

/** The ExecutionError of code that has to raise. */
export async function catchExecutionError(
  code: string,
  options?: ExecutionOptions,
): Promise<ExecutionError> {
  const error = await catchRejection<ExecutionError>(run(code, options));
  expect(error.code, error.message).toBe("ERYX_EXECUTION");
  return error;
}

/** A file of a storage as text. */
export function readText(vfs: VfsStorage, path: string): string {
  return Buffer.from(vfs.readFile(path)).toString();
}

/** The argument error that a call has to throw or reject with. */
export async function catchArgumentError(call: () => unknown): Promise<string> {
  const error = await catchRejection<TypeError & { code: string }>(
    (async () => call())(),
  );
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe("ERYX_INVALID_ARGUMENT");
  return error.message;
}

/** How late a run may end that is ended by its deadline or cancelled, if the machine has time for it. */
export const PROMPT = 150;

/** Tries until `attempt` takes less than `most` ms: what else runs delays some tries, a defect delays all. */
export function tryUntilPrompt<T>(
  most: number,
  attempt: () => Promise<T> | T,
): Promise<T> {
  return tryUntil(most, attempt, () => performance.now());
}

/** The same for what only computes: the processor's time counts, which others do not take. */
export function tryUntilCheap<T>(
  most: number,
  attempt: () => Promise<T> | T,
): Promise<T> {
  return tryUntil(most, attempt, () => {
    const { user, system } = cpuUsage();
    return (user + system) / 1000;
  });
}

async function tryUntil<T>(
  most: number,
  attempt: () => Promise<T> | T,
  now: () => number,
): Promise<T> {
  const took: number[] = [];
  while (took.length < 20) {
    const start = now();
    const value = await attempt();
    took.push(now() - start);
    if (took.at(-1)! < most) return value;
  }
  return expect.fail(`never within ${most} ms: ${took.join(", ")}`);
}

/** Arrays that have lost their bytes. */
export function makeHollowArrays() {
  const transferred = new Uint8Array(4);
  structuredClone(transferred, { transfer: [transferred.buffer] });
  const buffer: ArrayBuffer = Reflect.construct(ArrayBuffer, [
    8,
    { maxByteLength: 16 },
  ]);
  const shrunk = new Uint8Array(buffer, 4, 4);
  (buffer as unknown as { resize(size: number): void }).resize(2);
  return { transferred, shrunk };
}

export interface ChildResult {
  /** Exit code, or the signal that ended the process. */
  status: number | string;
  stdout: string;
  stderr: string;
}

/** Runs a program in the package's directory. */
export function runChild(
  file: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<ChildResult> {
  const options = {
    cwd: root,
    timeout: 170_000,
    env: { ...process.env, NODE_OPTIONS: "", ...env },
  };
  return new Promise((resolve) => {
    execFile(file, args, options, (error, stdout, stderr) => {
      const status =
        error === null ? 0 : (error.signal ?? (error.code as number | string));
      resolve({ status, stdout: stdout.trim(), stderr: stderr.trim() });
    });
  });
}

/** Runs an ES module in a Node process of its own. */
export function runNode(
  source: string,
  flags: string[] = [],
): Promise<ChildResult> {
  const args = [...flags, "--input-type=module", "--eval", source];
  return runChild(process.execPath, args);
}

/** What a child prints that ends well. */
export async function getNodeStdout(
  source: string,
  flags: string[] = [],
): Promise<string> {
  const result = await runNode(source, flags);
  expect(result, result.stderr).toMatchObject({ status: 0 });
  return result.stdout;
}

// Child processes with a deadline and an answer in JSON.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * Standard output of a process; rejects if it fails or outlives `timeoutMs`.
 * @param {string} command
 * @param {string[]} args
 * @param {{ input?: string, timeoutMs?: number }} [options]
 * @returns {Promise<string>}
 */
export function runText(
  command,
  args,
  { input = "", timeoutMs = 60_000 } = {},
) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    const output = { stdout: "", stderr: "" };
    for (const name of /** @type {const} */ (["stdout", "stderr"])) {
      child[name]
        .setEncoding("utf8")
        .on("data", (chunk) => (output[name] += chunk));
    }
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(output.stdout);
      const reason = signal
        ? `killed by ${signal} (limit ${timeoutMs} ms)`
        : `exit code ${code}`;
      reject(
        new Error(
          `${command}: ${reason}: ${output.stderr.trim().split("\n").at(-1)}`,
        ),
      );
    });
    // A child that ends without reading its input must not end the benchmark.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ input?: string, timeoutMs?: number }} [options]
 * @returns {Promise<any>}
 */
export async function runJson(command, args, options) {
  return JSON.parse(await runText(command, args, options));
}

/**
 * The answer of benchmark/children/<name>.js, a new Node process that measures the package at `packageUrl`.
 * @param {string} name
 * @param {URL} packageUrl
 * @param {object} [request]
 */
export function runChild(name, packageUrl, request = {}) {
  const path = fileURLToPath(
    new URL(`../children/${name}.js`, import.meta.url),
  );
  return runJson(process.execPath, [path, packageUrl.href], {
    input: JSON.stringify(request),
    timeoutMs: 100_000,
  });
}

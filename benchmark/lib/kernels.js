// Kernel sources, put together as one program that every Python can run.

import { readFile } from "node:fs/promises";

const KERNELS = new URL("../kernels/", import.meta.url);

export const KERNEL_NAMES = [
  "nbody",
  "fannkuch",
  "spectral_norm",
  "tree",
  "fib",
  "json_round_trip",
  "regex",
  "string_building",
  "comprehensions",
  "exceptions",
];

/**
 * Kernel, then the number of rounds, then the harness, which prints one JSON line.
 * @param {string} name
 * @param {number} rounds
 */
export async function readKernel(name, rounds) {
  const [kernel, harness] = await Promise.all(
    [`${name}.py`, "harness.py"].map((file) =>
      readFile(new URL(file, KERNELS), "utf8"),
    ),
  );
  return `${kernel}\nROUNDS = ${rounds}\n\n${harness}`;
}

// Puts files that others may have open into their places.

import { renameSync, rmSync } from "node:fs";
import { join, parse } from "node:path";
import { pid } from "node:process";

/**
 * `write` writes the file beside its place, which it takes when it is whole. Who has the old one open or mapped keeps that, and
 * nobody ever sees half of the new one.
 * @param {string} to
 * @param {(beside: string) => void} write
 */
export function place(to, write) {
  const { dir, name, ext } = parse(to);
  const beside = join(dir, `${name}.${pid}.partial${ext}`);
  try {
    write(beside);
    renameSync(beside, to);
  } finally {
    rmSync(beside, { force: true });
  }
}

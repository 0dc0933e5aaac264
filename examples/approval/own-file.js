import { once } from "node:events";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname } from "node:path";

/** A value as JSON in a file that only its owner can read. */
export class OwnFile {
  #path;

  /** @param {string} path */
  constructor(path) {
    this.#path = path;
  }

  /** undefined if there is no file. */
  async read() {
    try {
      return JSON.parse(await readFile(this.#path, "utf8"));
    } catch (/** @type {any} */ error) {
      if (error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  /**
   * Whoever reads sees the old value or the new one, whole, also if the machine goes down meanwhile.
   * @param {unknown} value
   */
  async replace(value) {
    const temporary = `${this.#path}.new`;
    await rm(temporary, { force: true });
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(JSON.stringify(value));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
    await this.#syncDirectory();
  }

  async remove() {
    await rm(this.#path, { force: true });
    await this.#syncDirectory();
  }

  /**
   * What `work` returns. An error if another process is in here for the same directory.
   *
   * The lock is a socket whose name is no file: the kernel frees it however this process ends. Only processes of one network
   * namespace see it, and any user there can take the name. A run that several machines go on with belongs into a database.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async runLocked(work) {
    const { dev, ino } = await stat(dirname(this.#path));
    const lock = createServer();
    try {
      await once(lock.listen(`\0approval:${dev}:${ino}`), "listening");
    } catch (/** @type {any} */ error) {
      throw error.code === "EADDRINUSE"
        ? new Error(`another process works on ${this.#path}`, { cause: error })
        : error;
    }
    try {
      return await work();
    } finally {
      lock.close();
    }
  }

  /** A rename is on the disk when its directory is. */
  async #syncDirectory() {
    const directory = await open(dirname(this.#path));
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}

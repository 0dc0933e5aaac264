import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PAGE = 3;

/** @typedef {{ id: string, customer: string, amount: number }} Refund */

/** @type {readonly Refund[]} */
const REFUNDS = [
  { id: "R-1", customer: "Ada", amount: 1250 },
  { id: "R-2", customer: "Ben", amount: 499 },
  { id: "R-3", customer: "Ada", amount: 90_000 },
  { id: "R-4", customer: "Cem", amount: 3300 },
  { id: "R-5", customer: "Ben", amount: 75_000 },
  { id: "R-6", customer: "Ada", amount: 815 },
  { id: "R-7", customer: "Cem", amount: 20 },
];

/** Stands for the system that knows refunds and pays them. Amounts are cents. */
export class Payments {
  #directory;

  /**
   * `directory` gets a file for each refund that is paid.
   * @param {string} directory
   */
  constructor(directory) {
    this.#directory = directory;
  }

  /** @param {number} number */
  getPage(number) {
    return REFUNDS.slice(number * PAGE, (number + 1) * PAGE);
  }

  /** @param {unknown} id */
  find(id) {
    return REFUNDS.find((refund) => refund.id === id);
  }

  /**
   * Whether this call paid it: each refund is paid once, whoever asks, at once or later.
   *
   * Code that goes on from a checkpoint repeats what it did if the process that did it died before the next one.
   * @param {{ id: string, amount: number }} refund
   */
  async pay({ id, amount }) {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const receipt = JSON.stringify({ id, amount, by: process.pid });
    try {
      // "wx" fails if the file is there.
      await writeFile(join(this.#directory, `${id}.json`), receipt, {
        flag: "wx",
        mode: 0o600,
      });
      return true;
    } catch (/** @type {any} */ error) {
      if (error.code === "EEXIST") return false;
      throw error;
    }
  }
}

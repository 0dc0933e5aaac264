/** Stands for the systems that know orders and ship them. */
export class Orders {
  #client;

  /** @param {import("./queue.js").Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * One to three parts, 5.00 each. `due` is what has to be paid until then, in cents.
   * @param {number} order
   */
  getParts(order) {
    return ["a", "b", "c"]
      .slice(0, 1 + (order % 3))
      .map((id, index) => ({ id, due: 500 * (index + 1) }));
  }

  /**
   * The tracking number. A part is shipped once, whoever asks: a step that a worker did not finish is run again from its
   * beginning, with all of its calls.
   * @param {number} order
   * @param {string} part
   * @param {string} by
   */
  async ship(order, part, by) {
    if (this.getParts(order).every(({ id }) => id !== part))
      throw new Error(`order ${order} has no part ${part}`);
    await this.#client.hSetNX("jobs:shipped", `${order}:${part}`, by);
    return `T-${order}-${part}`;
  }

  /**
   * What code can call for a job that `worker` has.
   * @param {string} worker
   * @returns {{ [name: string]: import("../../index.js").CallbackDefinition }}
   */
  makeCallbacks(worker) {
    const order = { type: "integer", minimum: 1, maximum: 1e9 };
    return {
      "orders.parts": {
        description: "The parts of an order, and what they cost together.",
        schema: makeSchema({ order }),
        fn: ({ order }) => this.getParts(order),
      },
      "orders.ship": {
        description: "Ships a part, once: its tracking number.",
        schema: makeSchema({ order, part: { type: "string", maxLength: 10 } }),
        fn: ({ order, part }) => this.ship(order, part, worker),
      },
    };
  }
}

/** @param {object} properties */
function makeSchema(properties) {
  return {
    type: "object",
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
}

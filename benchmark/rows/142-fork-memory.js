// What a fork holds of its own once it writes to memory that it shares with its parent.

import { runChild } from "../lib/process.js";
import { LIST } from "../lib/state.js";

const PAGE = 4096;
const FEW = 32;
const MANY = 2_000;

export const name = "a fork's own pages, per page that it writes";
/** @type {import("../lib/types.js").Target} */
export const target = {
  unit: "pages",
  better: "lower",
  text: "1 page",
  met: ({ ours }) => ours.value < 1.5,
};

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  return context.measureEach({
    ours: async () => {
      const none = await weigh(context, 0);
      const few = await weigh(context, FEW);
      const many = await weigh(context, MANY);
      return {
        value: (few.written - none.written) / FEW,
        parts: {
          [`if it writes ${MANY.toLocaleString("en-US")}`]:
            (many.written - none.written) / MANY,
          "before its first execute": none.made,
          "after one that writes none of them": none.written,
        },
      };
    },
  });
}

/**
 * Pages of a fork's own: as it is made, and after an execute that writes to so many.
 * @param {import("../lib/types.js").Context} context
 * @param {number} pages
 */
async function weigh({ packageUrl, quick }, pages) {
  const request = { count: quick ? 10 : 50, setup: LIST, pages };
  const { made, written } = await runChild("forks", packageUrl, request);
  return { made: made / PAGE, written: written / PAGE };
}

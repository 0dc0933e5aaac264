// All cores: fresh executions with 16 in flight from one JavaScript thread.

import { availableParallelism } from "node:os";

import { wantAtLeast } from "../lib/targets.js";
import { measureThroughput } from "../lib/timing.js";

const IN_FLIGHT = 16;

export const name = `throughput, fresh execute("pass"), ${IN_FLIGHT} in flight`;
export const target = wantAtLeast(10_000, "/s");

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const seconds = context.quick ? 0.5 : 3;
  return context.measureEach({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox();
      const call = () => sandbox.execute("pass");
      await measureThroughput(call, { inFlight: IN_FLIGHT, ms: seconds * 200 });
      return measureThroughput(call, {
        inFlight: IN_FLIGHT,
        ms: seconds * 1000,
      });
    },
    // The better of one thread per core and as many as we have in flight.
    pyeryx: (peer) =>
      peer.runScript("throughput", {
        seconds,
        threads: [availableParallelism(), IN_FLIGHT],
      }),
  });
}

// All cores: fresh executions with 16 in flight from one JavaScript thread.

import { availableParallelism } from "node:os";

import { atLeast } from "../lib/targets.js";
import { throughput } from "../lib/timing.js";

const IN_FLIGHT = 16;

export const name = `throughput, fresh execute("pass"), ${IN_FLIGHT} in flight`;
export const target = atLeast(10_000, "/s");

export function measure(context) {
  const seconds = context.quick ? 0.5 : 3;
  return context.each({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox();
      const call = () => sandbox.execute("pass");
      await throughput(call, { inFlight: IN_FLIGHT, ms: seconds * 200 });
      return throughput(call, { inFlight: IN_FLIGHT, ms: seconds * 1000 });
    },
    // The better of one thread per core and as many as we have in flight.
    pyeryx: (peer) =>
      peer.script("throughput", {
        seconds,
        threads: [availableParallelism(), IN_FLIGHT],
      }),
  });
}

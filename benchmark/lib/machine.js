// The machine a report was made on; figures of two machines do not compare.

import {
  availableParallelism,
  cpus,
  loadavg,
  release,
  totalmem,
} from "node:os";

export function describeMachine() {
  return {
    platform: `${process.platform}-${process.arch}`,
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadAtStart: Number(loadavg()[0].toFixed(2)),
  };
}

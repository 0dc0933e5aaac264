// Compiling real sources and f-strings: the tokenizer searches and copies text with the C library. Timed inside Python.

import { wantAtMost } from "../lib/targets.js";

/** The largest modules that every CPython since 3.12 has. Each subject compiles its own copies. */
const MODULES = `_pydecimal turtle typing argparse inspect pickletools tarfile ast subprocess
optparse doctest mailbox zipfile enum pdb pydoc smtplib datetime imaplib shutil`;

/** @param {number} rounds */
const renderCode = (rounds) => `
import json, os, time

def best(source):
    times = []
    for _ in range(${rounds}):
        started = time.perf_counter()
        compile(source, "source", "exec")
        times.append(time.perf_counter() - started)
    return min(times) * 1000

def library():
    folder, total, size = os.path.dirname(os.__file__), 0, 0
    for name in """${MODULES}""".split():
        path = os.path.join(folder, name + ".py")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                source = file.read()
            total, size = total + best(source), size + len(source)
    return total * 1e6 / size

def lines(count):
    return "".join(f"text_{i} = f'{{name}} has {{count!r:>8}} of {{total + {i}:.2f}}'\\n" for i in range(count))

print(json.dumps({"library": library(), "lines": best(lines(3000)), "script": best(lines(90))}))
`;

export const name = "compile 1 MB of the standard library";
export const target = wantAtMost(1500, "ms");

/** @param {{ library: number, lines: number, script: number }} answer */
const toMeasurement = ({ library, lines, script }) => ({
  value: library,
  parts: { "3,000 lines of f-strings": lines, "90 lines": script },
});

/** @param {import("../lib/types.js").Context} context */
export function measure(context) {
  const code = renderCode(context.quick ? 1 : 5);
  return context.measureEach({
    ours: async ({ Sandbox }) => {
      const sandbox = new Sandbox({
        resourceLimits: { executionTimeoutMs: 90_000 },
      });
      return toMeasurement(JSON.parse((await sandbox.execute(code)).stdout));
    },
    python3: async (peer) => toMeasurement(await peer.run(code)),
  });
}

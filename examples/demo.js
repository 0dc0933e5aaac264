// `npm run demo`: a sales report computed by Python, and what happens to Python that misbehaves.

import { readFile } from "node:fs/promises";
import { ResourceLimits, Sandbox, versions } from "../index.js";

const csv = await readFile(new URL("data/orders.csv", import.meta.url));
/** @param {string} text */
const printHeading = (text) => console.log(`\n── ${text}`);

const REPORT = `
import csv, statistics, sys
from collections import defaultdict
from datetime import datetime
from decimal import Decimal, ROUND_HALF_UP

CENT = Decimal("0.01")

def amount(row):
    gross = Decimal(row["unit_price"]) * int(row["quantity"])
    discount = Decimal(row["discount_percent"] or 0) / 100
    return (gross * (1 - discount)).quantize(CENT, ROUND_HALF_UP)

months, products, amounts = defaultdict(Decimal), defaultdict(Decimal), []
for row in csv.DictReader(sys.stdin):
    value = amount(row)
    months[datetime.fromisoformat(row["ordered_at"]).strftime("%Y-%m")] += value
    products[row["product"]] += value
    amounts.append(value)

print(f"{'month':<10}{'revenue':>12}")
for month, revenue in sorted(months.items()):
    print(f"{month:<10}{revenue:>12,} {currency} {'#' * int(revenue / 40)}")
best = sorted(products, key=products.get, reverse=True)[:top]
print(f"median order {statistics.median(amounts):.2f} {currency}, best: {', '.join(best)}")
result = {"orders": len(amounts), "revenue": str(sum(amounts)), "best": best}
`;

/**
 * What became of code that does not end well.
 * @param {string} label
 * @param {Sandbox} sandbox
 * @param {string} code
 * @param {import("../index.js").ExecutionOptions} [options]
 */
async function attempt(label, sandbox, code, options) {
  const started = performance.now();
  try {
    const { stdout } = await sandbox.execute(code, options);
    console.log(`${label}: ${stdout}`);
  } catch (/** @type {any} */ error) {
    const ms = (performance.now() - started).toFixed(0);
    console.log(
      `${label}: ${error.name} after ${ms} ms: ${error.traceback ?? error.message}`,
    );
    if (error.stdout) console.log(`  it had printed: ${error.stdout}`);
  }
}

const sandbox = new Sandbox();
console.log(
  `Python ${versions.python} in wasmtime ${versions.wasmtime}, in Node ${process.version}`,
);

printHeading(
  "a report on examples/data/orders.csv, which Python reads from stdin",
);
const report = await sandbox.execute(REPORT, {
  stdin: csv,
  inputs: { currency: "GBP", top: 3 },
});
console.log(report.stdout);
console.log("result, as a JavaScript object:", report.result);
console.log(`Python ran for ${report.durationMs.toFixed(1)} ms`);

printHeading("every execute() has an interpreter of its own");
await sandbox.execute("import math; math.pi = 3; leaked = 42");
await attempt(
  "the next run sees",
  sandbox,
  "import math; print(math.pi, 'leaked' in globals())",
);

printHeading("code that does not end, or must not");
const spin = "print('still here')\nwhile True: pass";
await attempt("an endless loop", sandbox, spin, { timeoutMs: 200 });
await attempt("a mistake", sandbox, "def f(x):\n    return 1 / x\n\nf(0)");
await attempt("the host's files", sandbox, "open('/etc/passwd')");
const small = new Sandbox({
  resourceLimits: { maxMemoryBytes: 64 * 1024 * 1024 },
});
await attempt("too much memory", small, "x = bytearray(100_000_000)");

printHeading("1,000 fresh interpreters, one after the other");
const many = new Sandbox({ resourceLimits: ResourceLimits.unlimited() });
const started = performance.now();
for (let n = 0; n < 1000; n++) await many.execute("print('hello')");
const each = (performance.now() - started) / 1000;
console.log(`${each.toFixed(3)} ms each`);

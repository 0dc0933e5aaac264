import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { run } from "../helpers.js";

type Json = string | number | Json[];

/** What CPython with the GNU C library answers: `../tables/generate.py` writes these files. */
function table(name: string): Json[] {
  const path = new URL(`../tables/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")) as Json[];
}

/** What `code` leaves in `result` for these inputs. */
async function answer(code: string, inputs: Record<string, unknown>) {
  return (await run(code, { inputs })).result;
}

describe("strftime", () => {
  it("answers as the GNU C library does in the C locale", async () => {
    const [times, ...rows] = table("strftime");
    expect(rows.length).toBeGreaterThan(800);
    const differences = await answer(
      `import time
moments = [tuple(map(int, moment)) for moment in times]
result = [
    [text, moment, time.strftime(text, moment), expected]
    for text, *answers in rows
    for moment, expected in zip(moments, answers)
    if time.strftime(text, moment) != expected
]`,
      { times, rows },
    );
    expect(differences).toEqual([]);
  });

  it("is the same for dates, with years of four digits", async () => {
    const texts = await answer(
      `from datetime import date, datetime, timezone, timedelta
zone = timezone(timedelta(hours=-3, minutes=-30), "here")
moment = datetime(2024, 3, 7, 17, 6, 9, 1234, zone)
result = [
    moment.strftime("%-d.%-m.%y %l:%M %P|%^b %k|%j|%s"),
    moment.strftime("%Y-%m-%dT%H:%M:%S.%f%z %:z %Z"),
    date(99, 7, 4).strftime("%Y|%F|%G|%C"),
    f"{moment:%e. %B, week %V, %I %p}",
    moment.strftime("100%"),
]`,
      {},
    );
    expect(texts).toEqual([
      "7.3.24  5:06 pm|MAR 17|067|1709831169",
      "2024-03-07T17:06:09.001234-0330 -03:30 here",
      "0099|0099-07-04|0099|00",
      " 7. March, week 10, 05 PM",
      "100%",
    ]);
  });

  it("takes no time for a width that no text can have", async () => {
    const texts = await answer(
      `import time
moment = time.gmtime(0)
result = [time.strftime("%99999999999d", moment), len(time.strftime("%500d", moment))]`,
      {},
    );
    expect(texts).toEqual(["", 500]);
  });
});

describe("time", () => {
  it("goes from text to seconds and back", async () => {
    const answers = await answer(
      `import time, calendar
result = []
for second in (0, 1, -1, 951782400, 1709251199, 2**31, -2**31, 253402300799, -62135596800):
    moment = time.gmtime(second)
    result.append(time.mktime(moment) == calendar.timegm(moment) == second)
    result.append(second < 0 or time.strptime(time.asctime(moment))[:8] == moment[:8])
# Local time is UTC; a time that says it is summer time is an hour earlier.
result.append(time.mktime((2021, 7, 3, 0, 0, 0, 0, 0, 1)) == calendar.timegm((2021, 7, 2, 23, 0, 0)))
for year in (100_000_000, -100_000_000):
    moment = (year, 12, 31, 23, 59, 59, 0, 0, -1)
    result.append(time.gmtime(time.mktime(moment))[:6] == moment[:6])
result.append(time.asctime((2024, 3, 7, 5, 6, 9, 3, 67, 0)))`,
      {},
    );
    expect(answers).toEqual([
      ...Array<boolean>(21).fill(true),
      "Thu Mar  7 05:06:09 2024",
    ]);
  });
});

/** Differences of results to a table, in units in the last place of the expected one. */
const COMPARE = `
import math
def evaluate(name, arguments):
    try:
        return getattr(math, name)(*arguments)
    except (ValueError, OverflowError) as error:
        return type(error).__name__
def distance(got, expected):
    if isinstance(expected, list):
        return max(map(distance, got, expected))
    if not isinstance(got, float):
        return 0 if str(got) == expected else math.inf
    if expected in ("ValueError", "OverflowError"):
        return math.inf
    wanted = float.fromhex(expected)
    if got == wanted:
        return 0 if math.copysign(1, got) == math.copysign(1, wanted) else math.inf
    if math.isnan(got) and math.isnan(wanted):
        return 0
    return abs(got - wanted) / math.ulp(wanted)
def argument(value):
    return float.fromhex(value) if isinstance(value, str) else int(value)
worst = {}
for name, *arguments, expected in rows:
    got = evaluate(name, map(argument, arguments))
    if isinstance(expected, list):
        expected = [part if isinstance(part, str) else str(int(part)) for part in expected]
    far = distance(got, expected)
    if far > worst.get(name, (0,))[0]:
        worst[name] = (far, arguments, str(got), str(expected))
result = {name: list(what) for name, what in worst.items() if what[0] > limits.get(name, 1)}
`;

describe("math", () => {
  it("is within a unit in the last place of the GNU C library", async () => {
    const rows = table("math");
    // What the errors of two implementations of such functions add up to.
    const limits = {
      cbrt: 2,
      sinh: 2,
      cosh: 2,
      tanh: 2,
      asinh: 2,
      acosh: 2,
      atanh: 2,
      lgamma: 2,
    };
    expect(await answer(COMPARE, { rows, limits })).toEqual({});
  });

  it("is exact where a number has an exact answer", async () => {
    const wrong = await answer(
      `import math
wrong = []
def check(name, got, expected):
    if got != expected:
        wrong.append([name, got, expected])
check("exp", math.exp(1), math.e)
for n in range(-1074, 1024):
    check("log2", math.log2(math.ldexp(1.0, n)), float(n))
    check("exp2", math.exp2(n), math.ldexp(1.0, n))
for n in range(23):
    check("log10", math.log10(10.0 ** n), float(n))
for n in range(1, 100):
    check("cbrt", math.cbrt(n ** 3), float(n))
    check("hypot", math.hypot(3.0 * n, 4.0 * n), 5.0 * n)
check("fma", math.fma(1 + 2.0 ** -52, 1 - 2.0 ** -52, -1.0), -(2.0 ** -104))
for x, down, up, near in ((0.5, 0, 1, 0), (1.5, 1, 2, 2), (2.5, 2, 3, 2), (-0.5, -1, 0, 0), (-1.5, -2, -1, -2)):
    check("rounding", (math.floor(x), math.ceil(x), round(x)), (down, up, near))
result = wrong`,
      {},
    );
    expect(wrong).toEqual([]);
  });
});

describe("bytes and text", () => {
  it("are searched and compared right at all lengths", async () => {
    const wrong = await answer(
      `import random
rng = random.Random(1)
wrong = []
def find(text, part, start):
    return next((i for i in range(start, len(text) - len(part) + 1) if text[i:i + len(part)] == part), -1)
def rfind(text, part):
    return next((i for i in range(len(text) - len(part), -1, -1) if text[i:i + len(part)] == part), -1)
for size in range(0, 200, 3):
    for letters in ("ab", "a\\xe9", "a\\u20ac", "a\\U0001f600"):
        text = "".join(rng.choices(letters, (40, 1), k=size))
        for subject, parts in (
            (text, (letters[1], letters, letters[1] + letters[0] * 20)),
            (text.encode(), (letters[1].encode(), letters.encode())),
        ):
            start = rng.randrange(size + 1)
            for part in parts:
                found = [i for i in range(len(subject)) if subject[i:i + len(part)] == part]
                if subject.find(part, start) != find(subject, part, start) or subject.rfind(part) != rfind(subject, part):
                    wrong.append([size, letters, "find"])
                if part.join(subject.split(part)) != subject or (part in subject) != bool(found):
                    wrong.append([size, letters, "split"])
            changed = subject[:start] + subject[start:].replace(parts[0], parts[0][:0], 1)
            if (changed == subject) != (parts[0] not in subject[start:]) or (changed < subject) != (list(changed) < list(subject)):
                wrong.append([size, letters, "compare"])
result = wrong`,
      {},
    );
    expect(wrong).toEqual([]);
  });
});

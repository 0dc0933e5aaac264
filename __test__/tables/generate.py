"""Writes the tables beside this file: what CPython with the GNU C library answers.

Run with `TZ=UTC python3.13` on Linux (glibc 2.36, C locale).

Numbers are written as Python writes them for `float.fromhex`, times as the nine fields of `struct_time`.
"""

import json
import math
import pathlib
import random
import re
import time

HERE = pathlib.Path(__file__).parent

CONVERSIONS = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%+fNQJ"
STYLES = ["", "_", "-", "0", "^", "#", "5", "_12", "-12", "012", "^12", "#12", "E", "O", "^E", "10O", "^#", "_-0"]
# Not `%10é`: CPython 3.14 formats what lies between two characters beyond ASCII by itself.
LITERAL = ["%", "a%", "%%%", "%5", "%^", "%E", "%O", "%10E", "%-", "é%dé", "%é", "%EEd", "%EOd", "%5^d", "%:z", "100% %d", "%\n%d", ""]
TIMES = [
    (2024, 3, 7, 5, 6, 9, 3, 67, 0),
    (2024, 12, 31, 23, 59, 60, 1, 366, 0),
    (2021, 1, 3, 0, 0, 0, 6, 3, 1),
    (99, 7, 4, 12, 30, 1, 5, 185, -1),
    (0, 2, 29, 1, 2, 3, 1, 60, 0),
    (-101, 1, 1, 13, 0, 0, 5, 1, 0),
    (12345, 10, 10, 10, 10, 10, 0, 283, 0),
]

ANY = [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1e-310, 1e-17, 0.1, 0.5, 1.0, 1.5, 2.5, math.e, math.pi, 10.0, 100.25, 700.5, 1e22,
       1.7976931348623157e308, math.inf, math.nan, -5e-324, -0.3, -1.0, -2.5, -3.0, -20.75, -709.0, -1e10, -math.inf]  # fmt: skip
UNIT = [0.0, -0.0, 5e-324, 1e-9, 0.1, 0.5, 0.7, 0.9999999999999999, 1.0, -0.3, -0.75, -1.0, 1.5, math.nan]
POSITIVE = [5e-324, 1e-323, 1e-310, 2.2250738585072014e-308, 1e-300, 2.0**-1060, 0.1, 0.5, 0.99999, 1.0, 1.0000000000000002, 2.0, 3.0,
            8.0, 10.0, 1000.0, 2.0**100, 1e22, 1.7976931348623157e308, math.inf, math.nan, 0.0, -1.0]  # fmt: skip
ONE_ARGUMENT = {
    "exp": ANY, "exp2": ANY, "expm1": ANY, "sin": ANY, "cos": ANY, "tan": ANY, "atan": ANY, "sinh": ANY, "cosh": ANY,
    "tanh": ANY, "asinh": ANY, "cbrt": ANY, "erf": ANY, "erfc": ANY, "gamma": ANY, "lgamma": ANY, "floor": ANY, "ceil": ANY,
    "trunc": ANY, "sqrt": ANY, "degrees": ANY, "asin": UNIT, "acos": UNIT, "atanh": UNIT, "log": POSITIVE, "log2": POSITIVE,
    "log10": POSITIVE, "log1p": POSITIVE, "acosh": POSITIVE,
}  # fmt: skip
TWO_ARGUMENTS = ["pow", "atan2", "fmod", "remainder", "hypot", "copysign", "nextafter"]


def answer(name, *arguments):
    """The number, or the name of the exception."""
    try:
        result = getattr(math, name)(*arguments)
    except (ValueError, OverflowError) as error:
        return type(error).__name__
    return written(result) if isinstance(result, float) else str(result)


def written(number):
    """`float.hex` without zeros at the end of the fraction."""
    return re.sub(r"\.?0*p", "p", number.hex())


def mathematics():
    rng = random.Random(1)
    for name, arguments in ONE_ARGUMENT.items():
        for x in arguments + [rng.uniform(-5, 5) for _ in range(12)] + [10 ** rng.uniform(-300, 300) for _ in range(8)]:
            yield [name, written(x), answer(name, x)]
    for name in TWO_ARGUMENTS:
        for _ in range(70):
            x, y = rng.choice(ANY), rng.choice(ANY)
            yield [name, written(x), written(y), answer(name, x, y)]
    for x in ANY:
        for power in (-1080, -1, 3, 1070):
            yield ["ldexp", written(x), power, answer("ldexp", x, power)]
        yield ["frexp", written(x), [written(part) if isinstance(part, float) else part for part in math.frexp(x)]]
        yield ["modf", written(x), [written(part) for part in math.modf(x)]]


def strftime():
    formats = [f"%{style}{conversion}" for conversion in CONVERSIONS for style in STYLES] + LITERAL
    yield TIMES
    for text in formats:
        yield [text] + [time.strftime(text, moment) for moment in TIMES]


def write(name, lines):
    (HERE / name).write_text("[\n" + ",\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines) + "\n]\n")


write("math.json", mathematics())
write("strftime.json", strftime())

"""Short runs, as the host asks for them: most of what they compute is the driver's."""

import _eryx
import _eryx_driver as driver

RUNS = [
    "pass",
    "1 + 1",
    "print('hello')",
    "print(1); print([1, 2]); print({'a': None})",
    "x = [n * n for n in range(10)]\nsum(x)",
    "import json\nresult = json.loads(json.dumps({'a': [1, 2.5, None, True, 'x']}))",
    "import re\nre.sub(r'(\\w+) (\\w+)', r'\\2 \\1', 'hello world')",
    "class A:\n    def __init__(self, x):\n        self.x = x\n    def f(self):\n        return self.x + 1\nA(3).f()",
    "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 1\nasyncio.run(main())",
    "import asyncio\nawait asyncio.gather(f(1), f(x=2), g(3))",
    "for n in range(5):\n    await f(n)\n    h(n)",
    "def f(n):\n    return 1 if n < 2 else n * f(n - 1)\nprint(f(10))\nresult = f(5)",
    "raise ValueError('wrong')",
    "1 / 0",
    "def f(:",
    "y['k']",
    "result = {'big': list(range(200)), 'text': 'x' * 500, 'bytes': b'abc', 'nested': [[1, [2, [3]]]]}",
]
DETAILS = _eryx.encode([None, None, [["x", False, False, None, False, None]], False])
TABLE = [["f", "g", "h"], [None, DETAILS, None], [2]]


def run(number, code, fresh, streamed):
    name = f"<run {number % 7}>"
    request = [code.encode(), name, "result", {"y": {"k": number}}, None, bytes(32), streamed, TABLE, False, fresh, False, None]
    status = driver.start(request)
    while status != driver.DONE:
        status = driver.resume()


for number in range(40):
    for code in RUNS:
        run(number, code, number % 2 == 0, number % 4 < 2)

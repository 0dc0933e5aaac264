"""Python's own sources: compiling, importing, looking at them, tracebacks."""

import ast
import importlib
import inspect
import io
import linecache
import textwrap
import tokenize
import traceback

SOURCE = '''
import os, sys
from collections import defaultdict as dd

CONSTANT = {"a": [1, 2.5, None, True], "b": (3, -4)}

@decorator
class Thing(Base, metaclass=Meta):
    """Documented."""
    limit: int = 10

    def __init__(self, *args, key=None, **kwargs):
        self.args = args
        self.text = f"{key!r:>10} {len(args) + 1}"
        for index, value in enumerate(args):
            if value in CONSTANT and index < self.limit or not kwargs:
                continue
            elif isinstance(value, (int, str)):
                self.total += value[1:-1] if value else 0
            else:
                break
        while True:
            try:
                with open(key) as file, other():
                    yield [line.strip() for line in file if line]
            except (OSError, ValueError) as error:
                raise RuntimeError("text") from error
            finally:
                del self.args

async def run(a, /, b, *, c=lambda x: x ** 2):
    async for item in a:
        await b(item, c=c)
    match a:
        case {"k": [x, *_]} if x > 1:
            return x
        case Thing(limit=1) | None:
            pass
    return (yield_ := a) if a else {**b, "c": {d for d in c}}
'''


def compiled():
    for number in range(25):
        text = SOURCE.replace("Thing", f"Thing{number}")
        compile(text, "<training>", "exec")
    tree = ast.parse(SOURCE)
    ast.unparse(tree), ast.dump(tree), [type(node).__name__ for node in ast.walk(tree)]
    for number in range(60):
        eval(f"({number} + 1) * 2 - len('abc')", {"x": number})
        exec(f"def f(a, b={number}):\n    return a + b\nresult = f(1)", {})
    ast.literal_eval("{'a': [1, 2, (3, None)], 'b': 'text'}")
    list(tokenize.generate_tokens(io.StringIO(SOURCE).readline))
    for wrong in ("def f(:", "x = = 1", "for", "'open"):
        try:
            compile(wrong, "<training>", "exec")
        except SyntaxError as error:
            str(error)


def imported():
    for name in "colorsys cProfile filecmp fileinput getopt graphlib mailbox optparse plistlib pstats quopri reprlib sched".split():
        importlib.import_module(name)
    try:
        importlib.import_module("absent")
    except ModuleNotFoundError:
        pass


def shown():
    def deep(n):
        return 1 / n if n == 0 else deep(n - 1)

    for depth in range(12):
        try:
            deep(depth)
        except ZeroDivisionError as error:
            traceback.format_exception(error)
    inspect.signature(deep), inspect.getdoc(ast.parse), inspect.isfunction(deep), textwrap.indent(SOURCE, "  ")
    linecache.getline("/usr/lib/python3.14/ast.py", 10)


compiled(), imported(), shown()

"""Prepares the interpreter whose memory becomes the image. Runs once, when the runtime is built."""

import builtins
import gc
import importlib
import os
import sys
import types

import _eryx

# Imported before the image is taken, so that importing them in a run costs nothing.
MODULES = """
abc argparse array ast asyncio base64 bisect calendar cmath codecs collections collections.abc concurrent.futures
contextlib contextvars copy csv dataclasses datetime decimal difflib email email.message email.mime.multipart
email.mime.text email.policy enum errno fractions functools gc glob gzip hashlib heapq hmac html html.parser
http.client importlib importlib.metadata importlib.resources inspect io ipaddress itertools json keyword linecache
locale logging math numbers operator os pathlib pickle platform pprint queue random re secrets shlex shutil signal
sqlite3 stat statistics string struct subprocess sys tempfile textwrap threading time timeit token tokenize traceback
types typing unicodedata unittest unittest.mock urllib.error urllib.parse urllib.request uuid warnings weakref
xml.etree.ElementTree zipfile zlib zoneinfo
""".split()

# Free heap left in the image: runs that need no more than 2 MiB do not grow their memory, and 1 MiB is the reserve.
_SPARE_BYTES = 3 << 20


# In the order in which they need each other.
_OURS = """
_eryx_platform _eryx_report _eryx_streams _eryx_callbacks _eryx_awaits _eryx_trace _eryx_loop _eryx_files _eryx_toplevel
_eryx_runner _eryx_driver
""".split()


def prepare():
    for name in MODULES:
        importlib.import_module(name)
    for name in _OURS:
        _load(name)
    _complete()
    _warm_up()
    _drop_traces()
    gc.collect()
    _immortalize()
    gc.freeze()
    _eryx.mark_image()


def _immortalize():
    import _eryx_driver
    import _eryx_streams

    _eryx.immortalize(gc.get_objects(), types.CodeType, _eryx_streams.buffers())
    _eryx_driver.rehearsed()


def _load(name):
    """Loads a module of ours with builtins of its own: what user code does to the real ones does not reach it."""
    path = f"/eryx/{name}.py"
    module = type(sys)(name)
    module.__dict__.update(__builtins__=dict(builtins.__dict__), __file__=path)
    sys.modules[name] = module
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec"), module.__dict__)


def _complete():
    """What the interpreter lacks without site.main(), and clear words for what it cannot do."""
    import site
    import typing

    import _eryx_platform

    _eryx.mend_union(typing.Union)
    site.setquit()
    site.setcopyright()
    site.sethelper()
    _eryx_platform.install()


def _warm_up():
    """Makes lazily made things now: caches of codecs, regular expressions, the first traceback."""
    import asyncio
    import json
    import re
    import traceback
    import zoneinfo

    import _eryx_awaits
    import _eryx_callbacks
    import _eryx_driver
    import _eryx_loop
    import _eryx_report
    import _eryx_runner
    import _eryx_streams

    _eryx_callbacks.install(builtins)
    _eryx_awaits.install()
    _eryx_report.install()
    _eryx_loop.install()
    _eryx_runner.install(builtins)
    _eryx_driver.install()
    zoneinfo.ZoneInfo("UTC")
    json.loads(json.dumps({"a": [1, 2.5, None, True, "x"]}))
    re.compile(r"(\w+)\s*=\s*(.*)").match("a = b")
    asyncio.run(asyncio.sleep(0))
    for code in ("x = 1\nx", "raise ValueError('x')", "def f(:"):
        try:
            for part in _eryx_driver._compile(code.encode(), "<warm-up>"):
                exec(part, {})
        except Exception as error:
            "".join(traceback.format_exception(error))
    _rehearse(_eryx_driver, _eryx_callbacks, _eryx_streams)
    bytearray(_SPARE_BYTES)


# What runs usually do with the driver.
_REHEARSED = [
    "import asyncio\nasync def main(): await asyncio.sleep(0)\nasyncio.run(main())",
    "pass",
    "x = 1\nx",
    "print('x')\nresult = {'a': [1, 'x']}",
    "import asyncio\nawait asyncio.sleep(0)",
    "for _ in range(3): await f(1, x='x')",
    "for _ in range(3): h(1, x='x')",
    "import asyncio\nawait asyncio.gather(f(1), g(1), a.b(x=1))",
    "raise ValueError('x')",
]
_TIMES = 8


def _rehearse(driver, callbacks, streams):
    """Runs requests, so that the interpreter specialises the code that every run goes through. Fresh guests start with it
    fast, and do not write to its pages."""
    details = _eryx.encode([None, None, [["x", False, False, None, False, None]], False])
    table = [["f", "g", "a.b", "h"], [None, details, details, None], [3]]
    for _ in range(_TIMES):
        for code in _REHEARSED:
            for streamed in (False, True):
                request = [code.encode(), "<warm-up>", "result", {"y": 1}, None, bytes(32), streamed, table, False, True, False, None]
                status = driver.start(request)
                while status != driver.DONE:
                    status = driver.resume()
                # What only sessions do.
                streams.rehearse()
    callbacks._all.clear()
    callbacks.made = callbacks.begun = 0
    callbacks.before_call = None


def _drop_traces():
    """Removes what only the preparation left behind."""
    import __main__
    import linecache
    import re

    linecache.clearcache()
    re.purge()
    os.environ.clear()
    os.environ["HOME"] = "/home/sandbox"
    os.chdir("/data")
    sys.path[:] = [path for path in sys.path if not path.startswith("/eryx")]
    sys.path.insert(0, "")
    sys.path_importer_cache.pop("/eryx", None)
    importlib.invalidate_caches()
    sys.modules.pop("_eryx_image", None)
    for name in [name for name in __main__.__dict__ if not name.startswith("__")]:
        del __main__.__dict__[name]

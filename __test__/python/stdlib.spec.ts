import { describe, expect, it } from "vitest";
import { getStdout, run } from "../helpers.js";

describe("import", () => {
  it.each([
    "urllib.request",
    "http.client",
    "http.server",
    "email.message",
    "xml.etree.ElementTree",
    "xml.dom.minidom",
    "xml.sax",
    "sqlite3",
    "decimal",
    "fractions",
    "statistics",
    "zoneinfo",
    "asyncio",
    "unittest",
    "unittest.mock",
    "doctest",
    "pdb",
    "json",
    "re",
    "csv",
    "tomllib",
    "pickle",
    "copy",
    "ast",
    "inspect",
    "dis",
    "tokenize",
    "typing",
    "dataclasses",
    "enum",
    "collections.abc",
    "functools",
    "itertools",
    "contextlib",
    "hashlib",
    "hmac",
    "secrets",
    "random",
    "uuid",
    "base64",
    "struct",
    "array",
    "zlib",
    "gzip",
    "zipfile",
    "tarfile",
    "tempfile",
    "shutil",
    "pathlib",
    "glob",
    "logging",
    "argparse",
    "textwrap",
    "string",
    "difflib",
    "locale",
    "calendar",
    "datetime",
    "time",
    "threading",
    "queue",
    "concurrent.futures",
    "multiprocessing",
    "subprocess",
    "socket",
    "selectors",
    "signal",
    "html.parser",
    "ipaddress",
    "importlib.resources",
    "importlib.metadata",
    "pkgutil",
    "weakref",
    "gc",
    "traceback",
    "timeit",
    "cProfile",
    "graphlib",
    "heapq",
    "bisect",
    "unicodedata",
    "code",
    "this",
  ])("%s", async (name) => {
    expect((await run(`import ${name}\nresult = True`)).result).toBe(true);
  });

  it("of something that is not there is a ModuleNotFoundError", async () => {
    const code = "try: import numpy\nexcept ModuleNotFoundError as e: print(e)";
    expect(await getStdout(code)).toBe("No module named 'numpy'");
  });

  it("of a module that the code wrote", async () => {
    const code =
      "import sys\nopen('mine.py', 'w').write('x = 5\\n')\nsys.path.insert(0, '/data')\nimport mine\nprint(mine.x)";
    expect(await getStdout(code)).toBe("5");
  });
});

describe("modules work:", () => {
  it.each([
    [
      "zoneinfo",
      "import datetime, zoneinfo\nprint(datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/London')).utcoffset(), len(zoneinfo.available_timezones()) > 400)",
      "1:00:00 True",
    ],
    ["decimal", "import decimal\nprint(decimal.Decimal('0.1') * 3)", "0.3"],
    [
      "xml",
      "import xml.etree.ElementTree as E\nprint(E.tostring(E.fromstring('<a><b c=\"1\"/></a>')).decode())",
      '<a><b c="1" /></a>',
    ],
    [
      "email",
      "import email.message\nm = email.message.EmailMessage()\nm['Subject'] = 'é'\nm.set_content('x')\nprint(email.message_from_bytes(bytes(m))['Subject'])",
      "=?utf-8?q?=C3=A9?=",
    ],
    [
      "json",
      'import json\nprint(json.dumps(json.loads(\'{"a": [1, 2.5, null, "é"]}\'), ensure_ascii=False))',
      '{"a": [1, 2.5, null, "é"]}',
    ],
    [
      "re",
      String.raw`import re; print(re.sub(r"(\w+) (\w+)", r"\2 \1", "a b"))`,
      "b a",
    ],
    [
      "hashlib",
      "import hashlib\nprint(hashlib.sha256(b'a').hexdigest()[:8], hashlib.md5(b'a').hexdigest()[:8], hashlib.blake2b(b'a').hexdigest()[:8], hashlib.sha3_256(b'a').hexdigest()[:8])",
      "ca978112 0cc175b9 333fcb4e 80084bf2",
    ],
    [
      "zlib and gzip",
      "import gzip, zlib\nprint(gzip.decompress(gzip.compress(b'a' * 9)), zlib.decompress(zlib.compress(b'b')))",
      "b'aaaaaaaaa' b'b'",
    ],
    [
      "struct and array",
      "import array, struct\nprint(struct.unpack('<iq', struct.pack('<iq', -1, 2**40)), array.array('d', [1.5]))",
      "(-1, 1099511627776) array('d', [1.5])",
    ],
    [
      "unicodedata",
      "import unicodedata\nprint(unicodedata.normalize('NFD', 'é').encode(), unicodedata.name('𝄞'))",
      "b'e\\xcc\\x81' MUSICAL SYMBOL G CLEF",
    ],
    [
      "statistics",
      "import statistics\nprint(statistics.mean([1, 2, 3]), statistics.stdev([1, 2, 3]))",
      "2 1.0",
    ],
    [
      "datetime",
      "import datetime\nprint(datetime.datetime.fromisoformat('2024-02-29T12:00:00Z') + datetime.timedelta(days=366), datetime.datetime(2024, 1, 1).strftime('%A %d %B'))",
      "2025-03-01 12:00:00+00:00 Monday 01 January",
    ],
    [
      "csv",
      "import csv, io\nprint(list(csv.DictReader(io.StringIO('a,b\\n1,\"x,y\"\\n'))))",
      "[{'a': '1', 'b': 'x,y'}]",
    ],
    [
      "zipfile",
      "import io, zipfile\nb = io.BytesIO()\nwith zipfile.ZipFile(b, 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('a', 'x' * 100)\nprint(zipfile.ZipFile(b).read('a')[:2])",
      "b'xx'",
    ],
    [
      "argparse",
      "import argparse\np = argparse.ArgumentParser()\np.add_argument('--n', type=int)\nprint(p.parse_args(['--n', '3']).n)",
      "3",
    ],
    [
      "logging",
      "import io, logging\ns = io.StringIO()\nlogging.basicConfig(stream=s)\nlogging.error('x')\nprint(s.getvalue().strip())",
      "ERROR:root:x",
    ],
    [
      "urllib.parse",
      "import urllib.parse\nprint(urllib.parse.urlencode({'a': 'é &'}))",
      "a=%C3%A9+%26",
    ],
    [
      "graphlib",
      "import graphlib\nprint(list(graphlib.TopologicalSorter({'a': 'b'}).static_order()))",
      "['b', 'a']",
    ],
    [
      "contextvars and weakref",
      "import weakref\nclass A: pass\na = A()\nr = weakref.ref(a)\ndel a\nprint(r())",
      "None",
    ],
    [
      "locale",
      "import locale\nlocale.setlocale(locale.LC_ALL, '')\nprint(f'{1234567.5:,}')",
      "1,234,567.5",
    ],
    [
      "math",
      "import math\nprint(math.sin(1), math.gamma(5.5), 0.1 + 0.2, round(2.675, 2), float('1e-320'))",
      "0.8414709848078965 52.34277778455352 0.30000000000000004 2.67 1e-320",
    ],
  ])("%s", async (_, code, text) => {
    expect(await getStdout(code)).toBe(text);
  });
});

describe("code that looks at itself", () => {
  it("inspect.getsource of a function, a class and a method", async () => {
    const code =
      "import inspect\ndef f(a):\n    return a  # text\nclass A:\n    def g(self): pass\nprint(inspect.getsource(f))\nprint(inspect.getsource(A))\nprint(inspect.getsource(A.g))";
    expect(await getStdout(code)).toBe(
      "def f(a):\n    return a  # text\n\nclass A:\n    def g(self): pass\n\n    def g(self): pass",
    );
  });

  it("inspect.getsource of a library", async () => {
    const code =
      "import inspect, json, os\nprint(inspect.getsource(json.loads)[:9], inspect.getsource(os.makedirs)[:12])";
    expect(await getStdout(code)).toBe("def loads def makedirs");
  });

  it("inspect.signature, getfile, getmodule, stack", async () => {
    const code =
      "import inspect\ndef f(a, *, b: int = 1) -> str: return inspect.stack()[1].lineno\nprint(inspect.signature(f), inspect.getfile(f), inspect.getmodule(f).__name__, f(1))";
    expect(await getStdout(code)).toBe(
      "(a, *, b: int = 1) -> str <sandbox> __main__ 3",
    );
  });

  it("pickle of the user's classes, functions and enums", async () => {
    const code = `
import collections, enum, pickle
class P:
    def __init__(self, x): self.x = x
class E(enum.Enum): A = 1
T = collections.namedtuple("T", "x")
def f(): return 3
p, e, t, g = pickle.loads(pickle.dumps([P(1), E.A, T(2), f]))
print(type(p) is P, p.x, e is E.A, t, g())`;
    expect(await getStdout(code)).toBe("True 1 True T(x=2) 3");
  });

  it("doctest", async () => {
    const code =
      'def f():\n    """\n    >>> f()\n    1\n    >>> f() + 1\n    3\n    """\n    return 1\nimport doctest\nprint(doctest.testmod(verbose=False))';
    const text = await getStdout(code);
    expect(text).toContain("Expected:\n    3\nGot:\n    2");
    expect(text).toMatch(/TestResults\(failed=1, attempted=2\)$/);
  });

  it("unittest", async () => {
    const code =
      "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(1, 1)\n    def test_b(self): self.assertEqual(1, 2)\nr = unittest.main(exit=False).result\nprint(r.testsRun, len(r.failures))";
    const result = await run(code);
    expect(result.stdout).toBe("2 1");
    expect(result.stderr).toContain("FAIL: test_b (__main__.T.test_b)");
  });

  it("dataclasses", async () => {
    const code =
      "import dataclasses\n@dataclasses.dataclass(frozen=True, slots=True, order=True)\nclass A:\n    x: int\n    y: list['A'] = dataclasses.field(default_factory=list)\nprint(A(1), A(1) < A(2), dataclasses.asdict(A(1, [A(2)])), dataclasses.replace(A(1), x=3))";
    expect(await getStdout(code)).toBe(
      "A(x=1, y=[]) True {'x': 1, 'y': [{'x': 2, 'y': []}]} A(x=3, y=[])",
    );
  });

  it("typing.get_type_hints", async () => {
    const code =
      "import typing\nclass A:\n    x: 'list[A]'\n    y: int | None\ndef f(a: 'A') -> 'int': ...\nprint(typing.get_type_hints(A), typing.get_type_hints(f))";
    expect(await getStdout(code)).toBe(
      "{'x': list[__main__.A], 'y': int | None} {'a': <class '__main__.A'>, 'return': <class 'int'>}",
    );
  });

  it("traceback.format_exc shows the user's source", async () => {
    const code =
      "import traceback\ntry:\n    1/0\nexcept ZeroDivisionError: print(traceback.format_exc())";
    expect(await getStdout(code)).toBe(
      'Traceback (most recent call last):\n  File "<sandbox>", line 3, in <module>\n    1/0\n    ~^~\nZeroDivisionError: division by zero',
    );
  });

  it("exec, eval, compile, globals and locals", async () => {
    const code =
      "exec('x = 5', ns := {})\ny = 2\nprint(ns['x'], eval('y + 1'), globals()['y'], locals() is globals())";
    expect(await getStdout(code)).toBe("5 3 2 True");
  });

  it("help prints the documentation", async () => {
    expect(await getStdout("help(len)")).toContain(
      "Return the number of items in a container.",
    );
  });

  it("sys knows the version and the platform", async () => {
    const code =
      "import sys\nprint(sys.version_info[:2], sys.platform, sys.implementation.name, sys.maxsize, sys.byteorder)";
    expect(await getStdout(code)).toBe(
      "(3, 14) wasi cpython 2147483647 little",
    );
  });

  it("text is UTF-8 everywhere", async () => {
    const code =
      "import sys\nprint(sys.stdout.encoding, sys.getfilesystemencoding(), open('a', 'w').encoding)";
    expect((await getStdout(code)).toLowerCase()).toBe("utf-8 utf-8 utf-8");
  });
});

import { describe, expect, it } from "vitest";
import { Sandbox } from "../../index.js";
import { catchRejection, run } from "../helpers.js";

const LISTS = "x = []\nfor _ in range(100_000): x = [x]\n";
const DICTS = "x = {}\nfor _ in range(100_000): x = {'a': x}\n";
const TUPLES = "x = ()\nfor _ in range(100_000): x = (x,)\n";
const OBJECTS =
  "class A: pass\nx = A()\nfor _ in range(100_000):\n    y = A()\n    y.x = x\n    x = y\n";
const SYNTAX =
  "import ast\nx = ast.Constant(1)\nfor _ in range(100_000): x = ast.UnaryOp(ast.USub(), x)\n";
const ELEMENTS =
  "import xml.etree.ElementTree as E\nx = e = E.Element('a')\nfor _ in range(100_000): e = E.SubElement(e, 'a')\n";

const sandbox = new Sandbox();

/** Ends well, or with an error of Python's own; never with a crash. The sandbox goes on. */
async function survives(code: string): Promise<void> {
  const promise = sandbox.execute(code, { timeoutMs: 20_000 });
  const [outcome] = await Promise.allSettled([promise]);
  if (outcome.status === "rejected") {
    const { message } = outcome.reason;
    expect(message).toMatch(
      /^(RecursionError|MemoryError|SyntaxError|ValueError|OverflowError|.*ParseError)/,
    );
  }
  expect((await sandbox.execute("1 + 1")).value).toBe(2);
}

async function recursionError(code: string): Promise<void> {
  const error = await catchRejection(run(code));
  expect(error).toMatchObject({ pythonType: "RecursionError" });
}

describe("RecursionError from", () => {
  it.each([
    ["a function", "def f(): f()\nf()"],
    ["a lambda", "f = lambda: f()\nf()"],
    ["a method", "class A:\n    def f(self): self.f()\nA().f()"],
    ["two functions", "def f(): g()\ndef g(): f()\nf()"],
    ["a coroutine", "async def f(): await f()\nawait f()"],
    ["a generator", "def g():\n    yield from g()\nlist(g())"],
    ["a comprehension", "def f(): return [f() for _ in [1]]\nf()"],
    ["__init__", "class A:\n    def __init__(self): A()\nA()"],
    [
      "__repr__",
      "class A:\n    def __repr__(self): return repr(self)\nrepr(A())",
    ],
    ["__str__", "class A:\n    def __str__(self): return f'{self}'\nstr(A())"],
    [
      "__eq__",
      "class A:\n    def __eq__(self, o): return self == o\nA() == A()",
    ],
    [
      "__hash__",
      "class A:\n    def __hash__(self): return hash(self)\nhash(A())",
    ],
    [
      "__lt__",
      "class A:\n    def __lt__(self, o): return sorted([self, o])\nsorted([A(), A()])",
    ],
    [
      "__getattr__",
      "class A:\n    def __getattr__(self, n): return getattr(self, n)\nA().x",
    ],
    [
      "__getitem__",
      "class A:\n    def __getitem__(self, i): return self[i]\nA()[0]",
    ],
    [
      "__missing__",
      "class A(dict):\n    def __missing__(self, k): return self[k]\nA()[1]",
    ],
    ["__add__", "class A:\n    def __add__(self, o): return self + o\nA() + 1"],
    [
      "__iter__",
      "class A:\n    def __iter__(self): return iter(self)\niter(A())",
    ],
    [
      "__bool__",
      "class A:\n    def __bool__(self): return bool(self)\nbool(A())",
    ],
    [
      "__instancecheck__",
      "class A:\n    def __instancecheck__(self, o): return isinstance(o, self)\nisinstance(1, A())",
    ],
    [
      "__enter__",
      "class A:\n    def __enter__(self):\n        with self: pass\n    def __exit__(self, *a): pass\nwith A(): pass",
    ],
    [
      "a property",
      "class A:\n    @property\n    def x(self): return self.x\nA().x",
    ],
    ["eval", "def f(): eval('f()')\nf()"],
    ["exec", "exec(s := 'exec(s)')"],
    ["map", "def f(x): return list(map(f, [x]))\nf(1)"],
    ["max with key", "def f(x): return max([x], key=f)\nf(1)"],
    [
      "re.sub with a function",
      "import re\ndef f(m): return re.sub('a', f, 'a')\nre.sub('a', f, 'a')",
    ],
    [
      "lru_cache",
      "import functools\n@functools.lru_cache\ndef f(n): return f(n + 1)\nf(0)",
    ],
    ["copy.deepcopy", `import copy\n${LISTS}copy.deepcopy(x)`],
    ["pickle.dumps", `import pickle\n${LISTS}pickle.dumps(x)`],
    ["json.dumps", `import json\n${LISTS}json.dumps(x)`],
    ["json.loads of lists", "import json\njson.loads('[' * 200_000)"],
    ["json.loads of objects", `import json\njson.loads('{"a":' * 200_000)`],
    ["repr of a list", `${LISTS}repr(x)`],
    ["repr of a dict", `${DICTS}repr(x)`],
    ["comparing lists", `${LISTS}y = x\n${LISTS}x == y`],
    ["a nested regex", "import re\nre.compile('(' * 50_000 + ')' * 50_000)"],
  ])("%s", async (_, code) => {
    await recursionError(code);
  });

  it.each([
    [
      2500,
      "a function with lru_cache",
      "@functools.lru_cache(None)\ndef f(n): return f(n - 1) if n else 0",
    ],
    [
      4000,
      "sum of a generator",
      "def f(n): return sum(f(n - 1) for _ in (1,)) if n else 0",
    ],
    [4000, "map", "def f(n): return list(map(f, [n - 1])) if n else 0"],
    [
      3000,
      "max with key",
      "def f(n): return max([n], key=lambda _: f(n - 1)) if n else 0",
    ],
    [
      3000,
      "__call__",
      "class F:\n    def __call__(self, n): return self(n - 1) if n else 0\nf = F()",
    ],
    [
      3000,
      "functools.reduce",
      "def f(n): return functools.reduce(lambda *_: f(n - 1), [1, 2]) if n else 0",
    ],
    [100_000, "a plain function", "def f(n): return f(n - 1) if n else 0"],
  ])("not before %d levels of %s", async (levels, _, code) => {
    const limit = "import functools, sys\nsys.setrecursionlimit(10**6)\n";
    await run(`${limit}${code}\nf(${levels})`);
  });

  it("can be caught, again and again", async () => {
    const code = `
def f(): f()
count = 0
for _ in range(20):
    try: f()
    except RecursionError: count += 1
print(count)`;
    expect((await run(code)).stdout).toBe("20");
  });

  it("comes after about a thousand calls", async () => {
    const code =
      "def f(n):\n    global depth\n    depth = n\n    f(n + 1)\ntry: f(1)\nexcept RecursionError: print(depth > 900, depth < 1100)";
    expect((await run(code)).stdout).toBe("True True");
  });
});

describe("never a crash:", () => {
  it.each([
    ["json.dumps with indent", `import json\n${LISTS}json.dumps(x, indent=1)`],
    ["deallocation of nested lists", `${LISTS}del x`],
    ["nested lists left at the end", LISTS],
    ["deallocation of nested dicts", `${DICTS}del x`],
    ["deallocation of nested tuples", `${TUPLES}del x`],
    ["deallocation of nested objects", `${OBJECTS}del x`],
    ["deallocation of a syntax tree", `${SYNTAX}del x`],
    ["deallocation of elements", `${ELEMENTS}del x, e`],
    [
      "deallocation of map in map",
      "g = iter([1])\nfor _ in range(100_000): g = map(abs, g)\ndel g",
    ],
    [
      "next of chain in chain",
      "import itertools\ng = iter([1])\nfor _ in range(100_000): g = itertools.chain(g)\nnext(g)",
    ],
    [
      "deallocation of chain in chain",
      "import itertools\ng = iter([1])\nfor _ in range(100_000): g = itertools.chain(g)\ndel g",
    ],
    [
      "next of generators in generators",
      "g = iter([1])\ndef wrap(g): yield from g\nfor _ in range(100_000): g = wrap(g)\nnext(g)",
    ],
    [
      "next of generator expressions",
      "g = (x for x in [1])\nfor _ in range(100_000): g = (x for x in g)\nnext(g)",
    ],
    [
      "tee of tee",
      "import itertools\nt = iter([1])\nfor _ in range(50_000): t = itertools.tee(t)[0]\ndel t",
    ],
    [
      "bound methods of bound methods",
      "import types\nm = print\nfor _ in range(100_000): m = types.MethodType(print, m)\ndel m",
    ],
    [
      "partials",
      "import functools\nf = print\nfor _ in range(100_000): f = functools.partial(lambda g: g(), f)\nf()",
    ],
    [
      "memory views",
      "m = memoryview(b'x')\nfor _ in range(100_000): m = memoryview(m)\ndel m",
    ],
    [
      "generic aliases, repr",
      "t = int\nfor _ in range(100_000): t = list[t]\nrepr(t)",
    ],
    [
      "generic aliases, hash",
      "t = int\nfor _ in range(100_000): t = list[t]\nhash(t)",
    ],
    ["hash of tuples", `${TUPLES}hash(x)`],
    [
      "slices, repr",
      "x = None\nfor _ in range(100_000): x = slice(x)\nrepr(x)",
    ],
    ["an object that calls itself", "class A: pass\nA.__call__ = A()\nA()()"],
    [
      "causes of exceptions",
      "e = None\nfor i in range(100_000):\n    n = ValueError(i)\n    n.__cause__ = e\n    e = n\nraise RecursionError from e",
    ],
    [
      "groups of exceptions",
      "e = ValueError(1)\nfor _ in range(100_000): e = ExceptionGroup('g', [e])\ntry: raise e\nexcept* ValueError: pass",
    ],
    ["parentheses", "eval('(' * 100_000)"],
    ["brackets", "eval('[' * 190 + ']' * 190)"],
    ["unary minus", "eval('-' * 100_000 + '1')"],
    ["additions", "eval('+'.join(['1'] * 100_000))"],
    ["attributes", "eval('x' + '.a' * 50_000)"],
    ["subscripts", "eval('x' + '[0]' * 50_000)"],
    ["calls", "eval('x' + '()' * 50_000)"],
    ["lambdas", "eval('lambda:' * 5000 + '1')"],
    ["conditional expressions", "eval('1 if 1 else ' * 20_000 + '1')"],
    ["nested f-strings", `eval('f"{' * 140 + '1' + '}"' * 140)`],
    [
      "nested blocks",
      String.raw`exec("\n".join(" " * i + "if 1:" for i in range(99)) + "\n" + " " * 99 + "pass")`,
    ],
    [
      "elif after elif",
      String.raw`exec("if 0: pass\n" + "elif 0: pass\n" * 20_000)`,
    ],
    [
      "nested functions",
      String.raw`exec("\n".join(" " * i + f"def f{i}():" for i in range(99)) + "\n" + " " * 99 + "pass")`,
    ],
    [
      "match patterns",
      String.raw`exec("match 1:\n case " + "[" * 150 + "]" * 150 + ": pass")`,
    ],
    [
      "a syntax tree, compiled",
      `${SYNTAX}compile(ast.fix_missing_locations(ast.Expression(x)), 'f', 'eval')`,
    ],
    ["a syntax tree, dumped", `${SYNTAX}ast.dump(x)`],
    ["a syntax tree, unparsed", `${SYNTAX}ast.unparse(x)`],
    ["a syntax tree, copied", `import copy\n${SYNTAX}copy.deepcopy(x)`],
    ["literal_eval", "import ast\nast.literal_eval('-' * 50_000 + '1')"],
    ["objects, copied", `import copy\n${OBJECTS}copy.deepcopy(x)`],
    ["objects, pickled", `import pickle\n${OBJECTS}pickle.dumps(x)`],
    ["pickle in Python", `import pickle\n${LISTS}pickle._dumps(x)`],
    [
      "unpickled tuples",
      "import pickle\npickle.loads(b'(' * 100_000 + b't' * 100_000 + b'.')",
    ],
    ["marshal.dumps", `import marshal\n${TUPLES}marshal.dumps(x)`],
    [
      "marshal.loads",
      String.raw`import marshal` +
        "\n" +
        String.raw`try: marshal.loads(b"\xa9\x01" * 100_000)` +
        "\nexcept (ValueError, EOFError): pass",
    ],
    [
      "XML, parsed",
      "import xml.etree.ElementTree as E\nE.fromstring('<a>' * 100_000 + '</a>' * 100_000)",
    ],
    ["XML, written", `${ELEMENTS}E.tostring(x)`],
    ["TOML", "import tomllib\ntomllib.loads('a=' + '[' * 50_000)"],
    [
      "sqlite",
      "import sqlite3\ntry: sqlite3.connect(':memory:').execute('select ' + '(' * 100_000)\nexcept sqlite3.Error: pass",
    ],
    [
      "repeated groups of re",
      "import re\nre.match('(?:(a)|b)*', 'ab' * 500_000)",
    ],
    ["lazy repeats of re", "import re\nre.match('(?:a|b)*?c', 'ab' * 500_000)"],
    ["alternatives of re", "import re\nre.compile('a|' * 50_000)"],
    [
      "chained maps",
      "import collections\nc = {}\nfor _ in range(20_000): c = collections.ChainMap({}, c)\nc.get('x')",
    ],
    [
      "a raised limit",
      "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    ],
    [
      "a raised limit, through C",
      "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr([self])\nrepr(A())",
    ],
    [
      "a raised limit, through sort",
      "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return sorted([x], key=f)\nf(1)",
    ],
    ["a result that is too deep", `${LISTS}result = x`],
    ["a last value that is too deep", `${LISTS}x`],
  ])("%s", async (_, code) => {
    await survives(code);
  });
});

// A native CPython 3.14 ends with a segmentation fault here: map has no bound, and the compiler overruns its block stack.
describe("where CPython itself crashes, only the run is lost:", () => {
  it.each([
    [
      "next of map in map",
      "g = iter([1])\nfor _ in range(100_000): g = map(abs, g)\nnext(g)",
    ],
    ["nested comprehensions", "eval('[' * 100 + '0 ' + 'for x in [1]]' * 100)"],
    [
      "nested comprehensions of one another",
      "eval('[' * 60 + '0' + ' for x in [1]]' * 60)",
    ],
  ])("%s", async (_, code) => {
    const sandbox = new Sandbox();
    const error = await catchRejection(sandbox.execute(code));
    expect(error).toMatchObject({
      code: "ERYX_EXECUTION",
      pythonType: "SystemError",
    });
    expect((await sandbox.execute("1 + 1")).value).toBe(2);
  });
});

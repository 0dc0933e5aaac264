import { describe, expect, it } from "vitest";
import { Sandbox } from "../../index.js";
import { catchRejection, getStdout, run } from "../helpers.js";

/** What a run changes, and an expression that shows whether the next one sees it. */
const STATE: [string, string, string, string][] = [
  ["variables", "x = 1", "'x' in globals()", "False"],
  ["functions", "def f(): pass", "'f' in globals()", "False"],
  [
    "builtins",
    "import builtins\nbuiltins.print = None\nbuiltins.x = 1",
    "hasattr(__builtins__, 'x')",
    "False",
  ],
  [
    "a module's function",
    "import json\njson.dumps = None",
    "__import__('json').dumps(1)",
    "1",
  ],
  [
    "a module's attribute",
    "import math\nmath.pi = 3",
    "__import__('math').pi",
    "3.141592653589793",
  ],
  [
    "sys.modules",
    "import sys\nsys.modules['fake'] = sys",
    "'fake' in __import__('sys').modules",
    "False",
  ],
  [
    "imported modules",
    "import xml.dom.minidom",
    "'xml.dom.minidom' in __import__('sys').modules",
    "False",
  ],
  [
    "sys.path",
    "import sys\nsys.path.append('/x')",
    "'/x' in __import__('sys').path",
    "False",
  ],
  [
    "sys.argv",
    "import sys\nsys.argv.append('x')",
    "__import__('sys').argv",
    "['<sandbox>']",
  ],
  ["sys.stdout", "import sys, io\nsys.stdout = io.StringIO()", "1", "1"],
  ["closed descriptors", "import os\nos.close(1)\nos.close(2)", "1", "1"],
  [
    "the recursion limit",
    "import sys\nsys.setrecursionlimit(50)",
    "__import__('sys').getrecursionlimit()",
    "1000",
  ],
  [
    "the trace function",
    "import sys\nsys.settrace(print)\nsys.setprofile(print)",
    "__import__('sys').gettrace()",
    "None",
  ],
  [
    "the excepthook",
    "import sys\nsys.excepthook = None",
    "__import__('sys').excepthook is __import__('sys').__excepthook__",
    "True",
  ],
  [
    "the environment",
    "import os\nos.environ['A'] = '1'\nos.putenv('B', '2')\ndel os.environ['HOME']",
    "dict(__import__('os').environ)",
    "{'HOME': '/home/sandbox'}",
  ],
  [
    "the working directory",
    "import os\nos.chdir('/tmp')",
    "__import__('os').getcwd()",
    "/data",
  ],
  ["files", "open('a', 'w').write('x')", "__import__('os').listdir('.')", "[]"],
  [
    "temporary files",
    "import tempfile\ntempfile.mkdtemp()",
    "__import__('os').listdir('/tmp')",
    "[]",
  ],
  [
    "the umask",
    "import os\ntry: os.umask(0o777)\nexcept AttributeError: pass",
    "1",
    "1",
  ],
  [
    "the decimal context",
    "import decimal\ndecimal.getcontext().prec = 3",
    "__import__('decimal').getcontext().prec",
    "28",
  ],
  [
    "the garbage collector",
    "import gc\ngc.disable()\ngc.set_threshold(1)",
    "__import__('gc').isenabled()",
    "True",
  ],
  [
    "warning filters",
    "import warnings\nwarnings.simplefilter('error')",
    "__import__('warnings').warn('w')",
    "None",
  ],
  [
    "logging handlers",
    "import logging\nlogging.basicConfig(level=0)\nlogging.disable()",
    "__import__('logging').root.handlers",
    "[]",
  ],
  [
    "the int limit",
    "import sys\nsys.set_int_max_str_digits(0)",
    "__import__('sys').get_int_max_str_digits()",
    "4300",
  ],
  [
    "the locale",
    "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    "__import__('locale').getlocale()[0]",
    "C",
  ],
  [
    "signal handlers",
    "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
    "__import__('signal').getsignal(2)",
    "<built-in function default_int_handler>",
  ],
  [
    "codecs",
    "import codecs\ncodecs.register(lambda n: 1/0)",
    "len('a'.encode('utf-8'))",
    "1",
  ],
  [
    "atexit functions",
    "import atexit\natexit.register(print, 'bye')",
    "1",
    "1",
  ],
  [
    "copyreg",
    "import copyreg\ncopyreg.pickle(int, 1 .__class__.__repr__)",
    "int in __import__('copyreg').dispatch_table",
    "False",
  ],
  [
    "abstract registrations",
    "import collections.abc\ncollections.abc.Sized.register(int)",
    "isinstance(1, __import__('collections.abc').abc.Sized)",
    "False",
  ],
  [
    "re's cache",
    "import re\nre._cache.clear()\nre.compile = None",
    "bool(__import__('re').match('a', 'a'))",
    "True",
  ],
  [
    "sys.meta_path",
    "import sys\nsys.meta_path.clear()",
    "__import__('colorsys').__name__",
    "colorsys",
  ],
  [
    "context variables",
    "import contextvars\nv = contextvars.ContextVar('v')\nv.set(1)",
    "len(list(__import__('contextvars').copy_context()))",
    "0",
  ],
  [
    "linecache",
    "import linecache\nlinecache.cache['<sandbox>'] = (1, None, ['bad\\n'], '')",
    "__import__('linecache').cache.get('x')",
    "None",
  ],
  [
    "interned and huge values",
    "x = [bytearray(1_000_000) for _ in range(50)]",
    "1",
    "1",
  ],
  [
    "threads' names",
    "import threading\nthreading.current_thread().name = 'x'",
    "__import__('threading').current_thread().name",
    "MainThread",
  ],
  [
    "main module attributes",
    "import __main__\n__main__.y = 1\n__name__ = 'z'",
    "__name__",
    "__main__",
  ],
  [
    "asyncio's policy",
    "import asyncio\nasyncio.sleep = None",
    "__import__('asyncio').sleep is None",
    "False",
  ],
  [
    "the time zone",
    "import os, time\nos.environ['TZ'] = 'XXX+5'\ntime.tzset() if hasattr(time, 'tzset') else None",
    "__import__('time').tzname[0]",
    "UTC",
  ],
];

describe("the next run does not see", () => {
  it.each(STATE)("%s", async (_, change, look, seen) => {
    const sandbox = new Sandbox();
    await sandbox.execute(change);
    expect((await sandbox.execute(`print(${look})`)).stdout).toBe(seen);
  });

  it("any of it after a run that failed", async () => {
    for (const end of [
      "1/0",
      "import sys; sys.exit(1)",
      "import os; os._exit(1)",
    ]) {
      await catchRejection(
        run(`import math\nmath.pi = 3\nopen('a', 'w')\n${end}`),
      );
      expect(
        await getStdout("import math, os\nprint(math.pi, os.listdir('.'))"),
      ).toBe("3.141592653589793 []");
    }
  });

  it("any of it after a run that was cut off", async () => {
    const code =
      "import math\nmath.pi = 3\nopen('a', 'w')\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass";
    await catchRejection(run(code, { timeoutMs: 50 }));
    expect(
      await getStdout("import math, os\nprint(math.pi, os.listdir('.'))"),
    ).toBe("3.141592653589793 []");
  });

  it("any of it after a run that used up its memory", async () => {
    await catchRejection(
      run("import math\nmath.pi = 3\nl = []\nwhile True: l.append(l * 10)"),
    );
    expect(await getStdout("import math\nprint(math.pi)")).toBe(
      "3.141592653589793",
    );
  });

  it("inputs, stdin, file name or result", async () => {
    const options = { inputs: { x: 1 }, stdin: "a\n", filename: "f.py" };
    await run("result = 5", options);
    const result = await run(
      "import sys\nprint('x' in globals(), sys.stdin.read() == '', __file__)",
    );
    expect(result.stdout).toBe("False True <sandbox>");
    expect(result.result).toBeUndefined();
  });

  it("memory that was used before", async () => {
    await run("x = b'secret-' + b'pattern' * 100_000");
    const code = `
found = False
for _ in range(20):
    block = bytearray(1_000_000)
    found = found or any(block)
print(found)`;
    expect(await getStdout(code)).toBe("False");
  });

  it("the same random numbers", async () => {
    const code =
      "import random, os, uuid, tempfile\nresult = [random.random(), os.urandom(8).hex(), str(uuid.uuid4()), tempfile.mktemp()]";
    const all = await Promise.all(Array.from({ length: 10 }, () => run(code)));
    expect(new Set(all.flatMap(({ result }) => result)).size).toBe(40);
  });

  it("a seed that the other set", async () => {
    const code = "import random\nprint(random.random())\nrandom.seed(1)";
    expect(await getStdout(code)).not.toBe(await getStdout(code));
  });
});

describe("runs at once", () => {
  it("do not see one another's state", async () => {
    const code =
      "import math, os, time\nmath.pi = n\nos.environ['N'] = str(n)\nopen('f', 'w').write(str(n))\ntime.sleep(0.05)\nresult = [math.pi, os.environ['N'], open('f').read()]";
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, n) => run(code, { inputs: { n } })),
    );
    expect(all.map(({ result }) => result)).toEqual(
      Array.from({ length: 10 }, (_, n) => [n, String(n), String(n)]),
    );
  });

  it("of sandboxes with other env and names do not mix", async () => {
    const all = await Promise.all(
      Array.from({ length: 10 }, async (_, n) => {
        const sandbox = new Sandbox({
          env: { N: String(n) },
          resultVariable: `r${n}`,
        });
        const code = `import os\nr${n} = os.environ["N"]`;
        return (await sandbox.execute(code)).result;
      }),
    );
    expect(all).toEqual(Array.from({ length: 10 }, (_, n) => String(n)));
  });
});

describe("the surroundings of the interpreter", () => {
  it.each([
    "import _eryx",
    "import _eryx_driver",
    "import sys\nfor m in list(sys.modules.values()):\n    if 'eryx' in getattr(m, '__name__', ''): vars(m).clear()",
    "import gc\nfor o in gc.get_objects():\n    if isinstance(o, dict) and '__name__' in o and 'eryx' in str(o['__name__']): o.clear()",
    "import sys\nsys.modules.clear()",
    "import builtins\nvars(builtins).clear()",
    "import sys\nfor f in [sys._getframe(n) for n in range(5) if n == 0]: f.f_globals.clear()",
    "globals().clear()",
    "import sys\nsys.stdout = sys.stderr = sys.stdin = 5",
    "import os\nfor n in range(100):\n    try: os.close(n)\n    except OSError: pass",
    "import _thread\n_thread.interrupt_main()",
  ])("%j harms this run at most", async (code) => {
    const [outcome] = await Promise.allSettled([
      run(code, { timeoutMs: 2000 }),
    ]);
    if (outcome.status === "rejected")
      expect(["ERYX_EXECUTION", "ERYX_TIMEOUT"]).toContain(outcome.reason.code);
    expect(await getStdout("print(sum(range(10)))")).toBe("45");
  });
});

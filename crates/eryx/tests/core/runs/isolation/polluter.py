# Changes all the state that a program can get at: of the interpreter, of its modules, of its files.
import asyncio, builtins, codecs, decimal, gc, json, locale, logging, os, random, re, signal, sys, threading, time, warnings
import __main__, _eryx, _eryx_driver, _eryx_loop, _eryx_report

# The interpreter's own structures: collecting frozen objects writes to the header of each.
gc.unfreeze()
gc.collect()
gc.set_threshold(7, 8, 9)
gc.callbacks.append(print)
gc.callbacks.clear()
gc.disable()
sys.setrecursionlimit(5000)
sys.setswitchinterval(1)
sys.set_int_max_str_digits(0)
random.seed(1)
decimal.getcontext().prec = 7
decimal.getcontext().traps[decimal.Inexact] = True
decimal.DefaultContext.prec = 8


# The stack, from Python and from C.
def deep(level):
    return deep(level - 1) + 1 if level else 0


deep(4000)


class Nested:
    def __repr__(self):
        return repr([self])


sys.setrecursionlimit(10**9)
try:
    repr(Nested())
except RecursionError:
    pass
sys.setrecursionlimit(5000)

# Modules, classes and builtins.
builtins.leaked = builtins.print
builtins.sum = lambda *_: "patched"
json.dumps = re.compile = os.listdir = lambda *_: "patched"
json.decoder.JSONDecoder.leaked = True
logging.getLogger("leaked").addHandler(logging.NullHandler())
logging.root.setLevel(1)
warnings.simplefilter("error")
codecs.register(lambda name: None)
sys.modules["leaked"] = type(sys)("leaked")
del sys.modules["csv"]
sys.path.append("/leaked")
sys.meta_path.append(type("Finder", (), {"find_spec": staticmethod(lambda *_: None)}))
sys.path_hooks.append(lambda path: (_ for _ in ()).throw(ImportError))
sys.argv.append("leaked")
sys.excepthook = sys.displayhook = sys.unraisablehook = lambda *_: None
sys.ps1 = "leaked"
threading.excepthook = lambda *_: None


class Leaked(dict, metaclass=type("Meta", (type,), {})):
    pass


json.JSONEncoder.default = Leaked
for module in list(sys.modules.values()):
    try:
        module.__leaked__ = b"\xee" * 100
    except AttributeError, TypeError:
        pass

# The driver and what it runs on.
_eryx_driver._names, _eryx_driver.extra = dict(_eryx_driver._names), 1
_eryx_report.leaked = 3
_eryx_loop.Loop.leaked = True
_eryx.leaked = _eryx.deliver
asyncio.events._event_loop_policy = None
for number in range(1, 32):
    if number not in (24,):
        try:
            signal.signal(number, lambda *_: None)
        except OSError, ValueError:
            pass
locale.setlocale(locale.LC_ALL, "C")

# The surroundings: files, environment, descriptors, standard streams.
os.environ.update(LEAKED="1", HOME="/leaked", PATH="/leaked")
for directory in ("/data", "/tmp", "/home/sandbox", "/", "/usr"):
    os.makedirs(f"{directory}/leaked/deep", exist_ok=True)
    with open(f"{directory}/leaked/file", "wb") as file:
        file.write(b"\xee" * 100_000)
os.symlink("/data/leaked", "/tmp/leaked-link")
os.chdir("/data/leaked/deep")
held = [os.open("/data/leaked/file", os.O_RDWR) for _ in range(50)]
os.lseek(held[0], 500, os.SEEK_SET)
os.rename("/home/sandbox/leaked", "/home/moved")
import io

sys.stdin = io.StringIO("leaked")

# Memory: pages of the image, more of them than are worth keeping, and memory beyond the image.
blocks = [bytearray(b"\xee") * size for size in (100, 5000, 70_000, 3 << 20, 20 << 20, 90 << 20) for _ in range(2)]
trees = [{str(i): [i, str(i)] for i in range(50_000)}]
del trees, blocks[::2]

sys.stdout.write("polluted\n")
sys.stdout.flush()
sys.stdout = sys.stderr = io.StringIO()

# Prints what a program can see of its interpreter and its surroundings, one line each, without what must differ from
# run to run. Addresses of objects are included: a fresh interpreter has every object in its place.
import sys

VOLATILE = {"logging._startTime"}
PLAIN = (int, float, str, bytes, bool, type(None), complex)


def shown(value):
    return repr(value)[:200] if type(value) in PLAIN else f"{type(value).__name__} at {id(value):x}"


def look():
    import asyncio, builtins, decimal, gc, locale, logging, os, random, re, signal, threading, warnings

    for name in sorted(sys.modules):
        module = sys.modules[name]
        yield f"module {name} {id(module):x}"
        for key, value in sorted(getattr(module, "__dict__", {}).items()):
            path = f"{name}.{key}"
            if path not in VOLATILE:
                yield f"{path} = {shown(value)}"
            if type(value) is type:
                for inner in sorted(map(str, value.__dict__)):
                    yield f"{path}.{inner} = {shown(value.__dict__[inner])}"
            elif type(value) in (dict, list, set) and key != "modules" and name != "__main__":
                yield f"len({path}) = {len(value)}"
    yield f"environ {sorted(os.environ.items())}"
    yield f"cwd {os.getcwd()}"
    for top in ("/", "/data", "/tmp", "/home", "/home/sandbox", "/usr"):
        for directory, names, files in os.walk(top):
            if not directory.startswith("/usr/lib/python3.14/"):
                yield f"files {directory} {sorted(names)} {sorted(files)} {oct(os.stat(directory).st_mode)}"
    for fd in range(1100):
        try:
            status = os.fstat(fd)
        except OSError:
            continue
        yield f"fd {fd} {oct(status.st_mode)} {status.st_size} {status.st_ino}"
    for number in range(1, 65):
        try:
            yield f"signal {number} {shown(signal.getsignal(number))}"
        except ValueError:
            pass
    yield f"gc {gc.isenabled()} {gc.get_threshold()} {gc.get_freeze_count()} {gc.callbacks} {gc.get_debug()}"
    yield f"recursion {sys.getrecursionlimit()} {sys.getswitchinterval()} {sys.get_int_max_str_digits()}"
    yield f"path {sys.path} {sys.argv} {len(sys.path_hooks)} {len(sys.meta_path)} {sorted(sys.path_importer_cache)}"
    yield f"hooks {sys.gettrace()} {sys.getprofile()} {shown(sys.excepthook)} {sys.get_asyncgen_hooks()}"
    yield f"streams {shown(sys.stdin)} {shown(sys.stdout)} {shown(sys.stderr)} {sys.stdout.line_buffering} {sys.stdout.encoding}"
    yield f"asyncio {shown(asyncio.events._event_loop_policy)} {asyncio.events._get_running_loop()}"
    yield f"locale {locale.setlocale(locale.LC_ALL)}"
    yield f"decimal {decimal.getcontext()}"
    yield f"warnings {len(warnings.filters)} {shown(warnings.showwarning)}"
    yield f"logging {logging.root.level} {logging.root.handlers} {sorted(logging.root.manager.loggerDict)}"
    yield f"threads {threading.active_count()} {threading.current_thread().name}"
    yield f"caches {len(re._cache)} {sys._getframe().f_back.f_back}"
    yield f"classes {sorted((c.__module__, c.__qualname__) for c in object.__subclasses__())}"


import hashlib

for line in list(look()):
    print(line)

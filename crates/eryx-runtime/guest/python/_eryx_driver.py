"""Runs the user's code: the other end of eryx_start, eryx_resume and eryx_interrupt.

Everything here is in the memory image. What a run needs is looked up once, at image time, so that user code that
replaces functions of the standard library breaks only itself.
"""

import __future__
import __main__
import ast
import codecs
import contextvars
import io
import linecache
import logging
import marshal
import operator
import os
import random
import re
import signal
import sys
import tempfile
import time
import types
import weakref

import _eryx
import _eryx_awaits
import _eryx_callbacks
import _eryx_files
import _eryx_loop
import _eryx_report
import _eryx_runner
import _eryx_streams
import _eryx_toplevel
import _eryx_trace

# What a delivered value is: Delivery in crates/eryx/src/guest/abi.rs.
KIND_RESULT = 0
KIND_VALUE = 1
KIND_REPORT = 2

DONE = -1
# The request does not fit: NO_MEMORY in crates/eryx/src/guest/abi.rs.
_NO_MEMORY = -2

_MAX_REPR = 10_000
# Larger sources are compiled in parts of about this size.
_PART = 65_536
# A line that may begin a statement of the top level; the previous one is no decorator.
_BEGINNING = re.compile(rb"\n(?!(?:else|elif|except|finally)\b)(?=[A-Za-z_@])(?<!\\\n)")
_FUTURES = __future__.annotations.compiler_flag | __future__.barry_as_FLUFL.compiler_flag
# No identifier, so that it is nobody's variable.
_VALUE = ".value"

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_CO_COROUTINE = 0x80
# Not what a subclass makes of it.
_exit_code = SystemExit.__dict__["code"].__get__
_set_trace = sys.settrace
_set_profile = sys.setprofile
_generator = random._inst
_never_awaited = _eryx_awaits.noted
_names = __main__.__dict__
_stock_update_cache = linecache.updatecache
_stock_lines_of_code = linecache._getlines_from_code
# A last line that is a statement and no expression. It neither opens nor closes anything, so nothing that began before it goes
# on in it, unless a backslash says so.
_STATEMENT = re.compile(rb"(?<!\\\n)(?<!\\\r\n)(?:pass|import [\w., ]+|[A-Za-z_]\w* [-+*/]?= [-+*/\w. ]+)\s*\Z")
# What was run, by file name.
_sources = {}
# The code objects of the last run of each file name, and where its last expression begins.
_parts = {}
_last_lines = {}
# File names that several runs had.
_shared = set()
# Code objects of earlier runs by id: a weak reference, and what they were compiled from.
_earlier = {}
# Bytes of sources that `_earlier` may hold before those that nobody needs any more are dropped.
_KEPT_SOURCES = 1 << 16
_held = 0
_may_hold = _KEPT_SOURCES
# What callbacks and libraries put into `__main__`.
_given = {}
# Code objects of libraries that were not run yet: the user's code before could not be compiled.
_owed = []
# What every module has.
_KEPT = {"__builtins__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__", "__annotations__"}
# Where the code of the top level runs, with and without a task: what it sets holds in the session's next execution.
_context = contextvars.Context()


class _Run:
    """What is known of the run in progress."""

    __slots__ = ("filename", "interrupted", "last_line", "libraries", "owed", "result_name", "task", "watched")

    def begin(self, result_name, filename):
        self.result_name = result_name
        self.filename = filename
        self.last_line = 0
        # How many of the parts are libraries: the user's code comes after them. -1: it is not its first time.
        self.libraries = -1
        # These libraries, as long as they are not all done.
        self.owed = ()
        self.interrupted = False
        # What waits or may wait: a Task or a Script.
        self.task = None
        # The result variable has a value already, and it is watched whether the code sets it.
        self.watched = False


_run = _Run()
_run.begin("result", "<sandbox>")


def start(request):
    """Runs one request as far as it goes without waiting."""
    if request[0] is None:
        return _ORDERS[request[1]](request[2])
    code, filename, result_name, inputs, *rest = request
    _run.begin(result_name, filename)
    try:
        if _never_awaited:  # dropped since the last run: it is none of this one's
            _never_awaited.clear()
        traced = _set_up(inputs, *rest)
    except MemoryError:  # half set up: the state is put back
        return _NO_MEMORY
    _eryx.begin()
    error = pending = None
    try:
        parts = _compile(code, filename)
        if traced:
            earlier = [code for code in (known() for known, source in _earlier.values()) if code is not None]
            _eryx_trace.begin(parts + earlier, filename)
        if _owed:
            _run.libraries = len(_owed)
            _run.owed = tuple(_owed)
            parts = [*_owed, *parts]
            _owed.clear()
        # Code that awaits more than calls which run a loop: it is in a task from its beginning.
        awaiting = [part for part in parts if part.co_flags & _CO_COROUTINE and _eryx_toplevel.OUTCOME not in part.co_names]
        todo = enumerate(parts)
        pending = _await_parts(todo, inputs) if awaiting and len(parts) > 1 else _run_parts(todo, inputs, _context.run)
    except BaseException as raised:
        error = raised
    # Functions that the user set to watch calls are not for ours. No call of ours may come before this.
    try:
        _set_trace(None)
        _set_profile(None)
    except BaseException:  # the profile function saw the call and raised: it is gone
        pass
    if pending is None:
        try:
            return _finish(error)
        finally:
            error = None  # its traceback has this frame: nothing would free what it holds
    if awaiting:
        _run.task = _eryx_loop.begin(pending, _context)
    else:
        run = _context.run
        _run.task = _eryx_runner.Script(pending, lambda: _run_parts(todo, inputs, run), run)
    return _advance()


def _set_up(inputs, env, seed, streamed, callbacks, traced, fresh, stdin_used, libraries):
    """What a run needs before its code. Returns whether it is traced."""
    global _context
    _run.result_name = _eryx_callbacks.identifier(_run.result_name)
    if seed is not None:
        _reseed(seed)
    _eryx_streams.begin(not fresh, stdin_used)
    _eryx_streams.buffer_lines(streamed)
    _watch_result()
    sys.argv[0] = _names["__file__"] = _run.filename
    if env:
        os.environ.update(env)
    if inputs:
        _names.update((_eryx_callbacks.identifier(name), value) for name, value in inputs.items())
    if fresh:
        _given.clear()
        _context = contextvars.Context()
    if callbacks and fresh:
        _eryx_callbacks.register(callbacks, _names)
        _remember(inputs)
    elif callbacks:  # the interpreter was restored
        _rebind(callbacks)
    _eryx_callbacks.before_call = flush if streamed or traced else None
    if libraries:
        _owed[:] = _load(libraries)
    return traced


def _watch_result():
    """From here on it counts whether inputs or code set the result variable. One that is new at the end was set."""
    name = _run.result_name
    _run.watched = name in _names
    if _run.watched:
        _eryx.watch(_names, name)


def resume():
    """Goes on after a wait."""
    return _advance()


def interrupt():
    """Ends the run: its tasks are cancelled and may clean up. Also after an interrupt hit the driver itself."""
    _run.interrupted = True
    task = _run.task
    if task is None or task.done():
        return _finish(None)
    if type(task) is _eryx_runner.Script:
        task.cancel()
    else:
        _eryx_loop.cancel_all()
    return _advance()


def _advance():
    task = _run.task
    module = _eryx_runner if type(task) is _eryx_runner.Script else _eryx_loop
    try:
        next_timer = _eryx.as_user(module.advance, task)
    except MemoryError as raised:  # in the loop's own code
        _eryx_loop.cancel_all()
        return _finish(raised)
    if next_timer is not None:
        flush()
        return next_timer
    error, task, _run.task = module.outcome(task), None, None
    return _finish(error)


def _compile(code, filename):
    """The code objects to run, one after the other. More than one for a large source: compiling takes 200 times the
    size of what is compiled at once. The same source again is not compiled again."""
    if filename in _parts and _sources[filename] == code:
        _run.last_line = _last_lines[filename]
        return _parts[filename]
    _note_source(code, filename)
    parts, flags, start, tried = [], _FLAGS, 0, 0
    while len(code) - tried > _PART:
        cut = _BEGINNING.search(code, tried + _PART)
        if cut is None:
            break
        tried = cut.start() + 1
        try:
            part = _compile_part(_with_lines(code, start, tried), filename, flags)
        except SyntaxError:
            continue  # cut in the middle of something: the next place may do
        if not parts:
            flags |= part.co_flags & _FUTURES
        parts.append(part)
        start = tried
    parts.append(_compile_last(_with_lines(code, start, len(code)), filename, flags))
    _parts[filename] = parts
    _last_lines[filename] = _run.last_line
    return parts


def _text(code):
    """What is compiled: as text, in which a declaration of an encoding means nothing. It was decoded on its way here."""
    return code.removeprefix(codecs.BOM_UTF8).decode()


def _note_source(code, filename):
    """Makes `code` what tracebacks show for `filename`. Functions of an earlier run that had that name keep their own lines:
    they are found by code object then."""
    parts = _parts.pop(filename, None)
    if parts is not None:
        _note_earlier(parts, _sources[filename])
        _shared.add(filename)
    _sources[filename] = code
    _eryx_files.note_source(code)
    linecache.cache.pop(filename, None)


def _note_earlier(parts, source):
    global _earlier, _held, _may_hold
    for code in _codes_in(parts):
        _earlier[id(code)] = (weakref.ref(code), source)
    _held += len(source) + 256
    if _held > _may_hold:
        _earlier = {key: entry for key, entry in _earlier.items() if entry[0]() is not None}
        _held = sum({id(source): len(source) + 256 for known, source in _earlier.values()}.values())
        _may_hold = 2 * _held + _KEPT_SOURCES


def _codes_in(parts):
    """These code objects and those of what is defined in them."""
    codes = list(parts)
    for code in codes:
        codes += [constant for constant in code.co_consts if type(constant) is types.CodeType]
    return codes


def _lines_of_code(code):
    """linecache._getlines_from_code, which also knows the user's code."""
    known, source = _earlier.get(id(code), (None, None))
    if known is None or known() is not code:
        filename = code.co_filename
        if not any(code is other for other in _codes_in(_parts.get(filename, ()))):
            return _stock_lines_of_code(code)
        source = _sources[filename]
    return _lines(source)


def _lines(source):
    return io.StringIO(source.decode("utf-8-sig", "replace"), None).readlines()


def _compile_libraries(libraries):
    """Delivers code objects, marshalled, which later runs get with their sources. Nothing of it is run here."""
    report = {}
    try:
        made = [marshal.dumps(_compile_part(source, filename, _FLAGS)) for filename, source in libraries]
        _eryx.deliver(KIND_RESULT, made, "libraries")
    except BaseException as error:
        _sources.update(libraries)
        _eryx_report.describe(error, report)
        _deliver_report(report)
    return DONE


def _remember(inputs):
    """What is in `__main__` before the user's code comes is what stays when a session is cleared."""
    _given.update((name, value) for name, value in _names.items() if name[:2] != "__" and name not in (inputs or ()))


def _clear(argument):
    """Leaves in `__main__` what was there before the user's code."""
    for name in [name for name in _names if name not in _KEPT]:
        del _names[name]
    _names.update(_given)
    return DONE


def _rebind(table):
    _eryx_files.forget()
    before = set(_names)
    _eryx_callbacks.rebind(table, _names)
    _given.update((name, _names[name]) for name in _names.keys() - before)
    return DONE


def _end(argument):
    """The interpreter goes: what it left open is finished."""
    _eryx_files.end_interpreter(_context)
    return DONE


# What the host asks for besides running code.
_ORDERS = {"clear": _clear, "compile": _compile_libraries, "end": _end, "rebind": _rebind}


def _load(libraries):
    """The code objects of libraries that were compiled before."""
    _sources.update((filename, source) for filename, source, code in libraries)
    for _, source, _ in libraries:
        _eryx_files.note_source(source)
    return [marshal.loads(code) for filename, source, code in libraries]


def _with_lines(code, start, end):
    """A part of `code`, with its true line numbers."""
    return b"\n" * code.count(b"\n", 0, start) + code[start:end] if start or end < len(code) else code


def _compile_part(code, filename, flags):
    if code.find(b"run") < 0 or not _eryx_toplevel.may_run(code, _names):
        return compile(_text(code), filename, "exec", flags, True)
    return _compile_tree(compile(_text(code), filename, "exec", flags | ast.PyCF_ONLY_AST, True), code, filename, flags)


def _compile_last(code, filename, flags):
    """Compiles code whose last expression's value is kept."""
    if _STATEMENT.match(code, code.rfind(b"\n", 0, -1) + 1):
        return _compile_part(code, filename, flags)
    tree = compile(_text(code), filename, "exec", flags | ast.PyCF_ONLY_AST, True)
    body = tree.body
    if body and type(body[-1]) is ast.Expr:
        last = body[-1]
        _run.last_line = last.lineno
        target = ast.copy_location(ast.Name(_VALUE, ast.Store()), last)
        body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    if code.find(b"run") >= 0 and _eryx_toplevel.may_run(code, _names):
        return _compile_tree(tree, code, filename, flags)
    return compile(tree, filename, "exec", flags, True)


def _compile_tree(tree, code, filename, flags):
    """Compiles code that may run a loop at the top level: it awaits that."""
    _eryx_toplevel.rewrite(tree, code, _names)
    return compile(tree, filename, "exec", flags, True)


def _run_parts(todo, inputs, call):
    """Runs code objects up to the first that awaits: its coroutine, or None at the end. `call` calls a function."""
    for index, part in todo:
        if index == _run.libraries:
            _remember(inputs)
            _run.owed = ()
        pending = _eryx.as_user(call, eval, part, _names)
        if pending is not None:
            return pending


async def _await_parts(todo, inputs):
    while (pending := _run_parts(todo, inputs, operator.call)) is not None:
        await pending


def _update_cache(filename, module_globals=None):
    """linecache.updatecache, which also knows the user's sources. Lines are made when somebody asks for them."""
    code = _sources.get(filename)
    if code is None:
        return _stock_update_cache(filename, module_globals)
    if filename in _shared and filename[:1] == "<":  # looked up by code object
        return []
    lines = _lines(code)
    linecache.cache[filename] = (len(code), None, lines, filename)
    return lines


def _reseed(seed):
    """Makes what the image froze differ from run to run."""
    _eryx.reseed(seed)
    _generator.gauss_next = None
    tempfile._name_sequence = None
    logging._startTime = time.time_ns()


def flush():
    """Hands everything printed so far to the host. Also called after a run was cut off, for what it had printed."""
    try:
        _eryx_trace.flush()
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:  # no memory left, or events that are not ours
        pass
    for stream in _eryx_streams.current():
        try:
            stream.flush()
        except _eryx.SandboxInterrupt:
            raise
        except BaseException:
            pass


def _finish(error):
    """Reports the end of the run."""
    report = {}
    if _run.owed and (_run.interrupted or type(error) is _eryx.SandboxInterrupt):
        _owed[:] = _run.owed
    if error is not None and not _run.interrupted:
        _report_error(error, report)
    answer = _eryx_files.end_code(_context)
    if type(_names.get(_VALUE)) is types.CoroutineType or _eryx_callbacks.made != _eryx_callbacks.begun:
        _warn_of_missing_awaits()
    flush()
    value = _names.pop(_VALUE, None)
    _eryx_trace.end()
    was_set = not _run.watched or _eryx.unwatch()
    if not report and not _run.interrupted:
        _deliver_values(value, was_set, report)
    if answer and _eryx_files.leave(_context, answer):
        flush()
    if _never_awaited:
        report["never_awaited"] = [[message, callback] for message, callback in _never_awaited.items()]
    if report:
        _deliver_report(report)
    return DONE


def _report_error(error, report):
    if not issubclass(type(error), SystemExit):  # isinstance would ask the object
        _eryx_report.describe(error, report)
        return
    code = _exit_status(_exit_code(error))
    if code:
        text = f"SystemExit: {code}"
        report.update(type="SystemExit", message=text, traceback=text, frames=[], exit_code=code)


def _exit_status(code):
    """The exit status of sys.exit(code), as CPython's main() makes it."""
    if code is None:
        return 0
    if issubclass(type(code), int):
        code = int.__index__(code)
        return code if -(2**31) <= code < 2**31 else -1
    try:
        print(_eryx_report.text_of(str, code, "<str() failed with {}>"), file=sys.stderr)
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:
        pass
    return 1


def _deliver_values(value, was_set, report):
    name = _run.result_name
    if was_set and name in _names:
        report.update(_deliver(KIND_RESULT, _names[name], name, "result_error"))
    if value is None:
        return
    report.update(_deliver(KIND_VALUE, value, "value", "value_error"))
    failed = f"<{_eryx_report.type_name(type(value))}: repr failed with {{}}>"
    text = _eryx_report.text_of(_repr, value, failed)
    report["value_repr"] = _eryx_report.clean(text if len(text) <= _MAX_REPR else text[:_MAX_REPR] + "...")


def _repr(value):
    """Of a large text no more than is shown: all of it would take up to ten times its size."""
    kind = type(value)
    if not (kind is str or kind is bytes or kind is bytearray) or len(value) <= _MAX_REPR:
        return repr(value)
    # What quotes are in it decides which are around it.
    quotes = ("'", '"') if kind is str else (b"'", b'"')
    return repr(value[: _MAX_REPR + 1] + kind().join(quote for quote in quotes if quote in value))


def _warn_of_missing_awaits():
    """The last expression's value is dropped by us, and what other variables hold by nobody: CPython does not see either."""
    try:
        value = _names.get(_VALUE)
        if _eryx_awaits.is_new(value):
            _eryx_awaits.warn(value, _run.filename, _run.last_line)
            value.close()
        _eryx_awaits.look_for_held()
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:  # no memory left
        pass


def _deliver(kind, value, name, failure):
    """What the report says of a value that cannot cross: the entry `failure`."""
    try:
        _eryx.deliver(kind, value, name)
    except MemoryError:
        return {failure: f"{name}: not enough memory to hand it over"}
    except TypeError as error:
        return {failure: _eryx_report.clean(str(error))}
    return {}


def _deliver_report(report):
    try:
        _eryx.deliver(KIND_REPORT, report, "report")
    except MemoryError:
        small = {key: report[key][:1000] for key in ("type", "message") if key in report}
        _eryx.deliver(KIND_REPORT, small or {"result_error": "not enough memory to hand it over"}, "report")


def _unraisable(unraisable):
    """sys.unraisablehook without what is ours: an interrupt that came in the middle of a __del__."""
    if unraisable.exc_type is not _eryx.SandboxInterrupt:
        sys.__unraisablehook__(unraisable)


def rehearsed():
    """Forgets the runs so far. Image time only."""
    _eryx_files.rehearsed()
    _run.begin("result", "<sandbox>")
    for noted in (_sources, _parts, _last_lines, _shared, _earlier, _given):
        noted.clear()
    linecache.clearcache()
    _eryx_streams.buffer_lines(False)


def install():
    """Puts the driver in place. Image time only."""
    _eryx_files.rehearsed()
    linecache.updatecache = _update_cache
    linecache._getlines_from_code = _lines_of_code
    sys.unraisablehook = _unraisable
    signal.signal(_eryx.SIGNAL, _eryx_loop.on_signal)
    _eryx.set_generator(_generator)
    _eryx.set_driver(start, resume, interrupt, flush)

"""Runs the user's code: the other end of eryx_start, eryx_resume and eryx_interrupt.

Everything here is in the memory image. What a run needs is looked up once, at image time, so that user code that
replaces functions of the standard library breaks only itself.
"""

import __main__
import ast
import atexit
import io
import linecache
import logging
import os
import random
import signal
import sys
import time

import _eryx
import _eryx_loop
import _eryx_report

# What a delivered value is: Delivery in crates/eryx/src/abi.rs.
KIND_RESULT = 0
KIND_VALUE = 1
KIND_OUTCOME = 2

DONE = -1

_MAX_REPR = 10_000
# Larger sources are not turned into a syntax tree, which takes 200 times their size: their last expression has no value.
_MAX_TREE_SOURCE = 100_000
_VALUE = "_eryx_value"

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_CO_COROUTINE = 0x80
# Not what a subclass makes of it.
_exit_code = SystemExit.__dict__["code"].__get__
_set_trace = sys.settrace
_set_profile = sys.setprofile
_names = __main__.__dict__
_exit_functions = 0
_stock_update_cache = linecache.updatecache
# What was run, by file name.
_sources = {}
_stdout = sys.stdout
_stderr = sys.stderr


class _Run:
    """What is known of the run in progress."""

    __slots__ = ("interrupted", "result_name", "task")

    def __init__(self, result_name):
        self.result_name = result_name
        self.interrupted = False
        self.task = None


_run = _Run("result")


def start(request):
    """Runs one request as far as it goes without waiting."""
    global _run
    code, filename, result_name, inputs, env, seed, streamed = request
    _run = _Run(result_name)
    _reseed(seed)
    if streamed != _stdout.line_buffering:
        _stdout.reconfigure(line_buffering=streamed)
    sys.argv[0] = filename
    _names["__file__"] = filename
    if env:
        os.environ.update(env)
    if inputs:
        _names.update(inputs)
    error = None
    try:
        compiled = _compile(code, filename)
        pending = eval(compiled, _names)
    except BaseException as raised:
        error = raised
    # Functions that the user set to watch calls are not for ours. No call of ours may come before this.
    try:
        _set_trace(None)
        _set_profile(None)
    except BaseException:  # the profile function saw the call and raised: it is gone
        pass
    if error is not None or not compiled.co_flags & _CO_COROUTINE:
        return _finish(error)
    _run.task = _eryx_loop.begin(pending)
    return _advance()


def resume(events):
    """Goes on after a wait."""
    return _advance()


def interrupt():
    """Ends the run: its tasks are cancelled and may clean up. Also after an interrupt hit the driver itself."""
    _run.interrupted = True
    if _run.task is None or _run.task.done():
        return _finish(None)
    _eryx_loop.cancel_all()
    return _advance()


def _advance():
    next_timer = _eryx_loop.advance(_run.task)
    if next_timer is not None:
        flush()
        return next_timer
    return _finish(_eryx_loop.outcome(_run.task))


def _compile(code, filename):
    _sources[filename] = code
    linecache.cache.pop(filename, None)
    if len(code) > _MAX_TREE_SOURCE:
        return compile(code, filename, "exec", _FLAGS, True)
    tree = compile(code, filename, "exec", _FLAGS | ast.PyCF_ONLY_AST, True)
    body = tree.body
    if body and type(body[-1]) is ast.Expr:
        last = body[-1]
        target = ast.copy_location(ast.Name(_VALUE, ast.Store()), last)
        body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    return compile(tree, filename, "exec", _FLAGS, True)


def _update_cache(filename, module_globals=None):
    """linecache.updatecache, which also knows the user's sources. Lines are made when somebody asks for them."""
    code = _sources.get(filename)
    if code is None:
        return _stock_update_cache(filename, module_globals)
    lines = io.StringIO(code.decode("utf-8-sig", "replace"), None).readlines()
    linecache.cache[filename] = (len(code), None, lines, filename)
    return lines


def _reseed(seed):
    """Makes what the image froze differ from run to run."""
    random.seed(int.from_bytes(seed))
    logging._startTime = time.time_ns()


def flush():
    """Hands everything printed so far to the host. Also called after a run was cut off, for what it had printed."""
    for stream in (sys.stdout, sys.stderr, _stdout, _stderr):
        try:
            stream.flush()
        except _eryx.SandboxInterrupt:
            raise
        except BaseException:
            pass


def _finish(error):
    """Reports the end of the run."""
    outcome = {}
    if error is not None and not _run.interrupted:
        _report_error(error, outcome)
    if atexit._ncallbacks() != _exit_functions:
        atexit._run_exitfuncs()
    flush()
    value = _names.pop(_VALUE, None)
    if not outcome and not _run.interrupted:
        _deliver_values(value, outcome)
    if outcome:
        _deliver_outcome(outcome)
    return DONE


def _report_error(error, outcome):
    if not isinstance(error, SystemExit):
        _eryx_report.describe(error, outcome)
        return
    code = _exit_status(_exit_code(error))
    if code:
        text = f"SystemExit: {code}"
        outcome.update(type="SystemExit", message=text, traceback=text, frames=[], exit_code=code)


def _exit_status(code):
    """The exit status of sys.exit(code), as CPython's main() makes it."""
    if code is None:
        return 0
    if isinstance(code, int):
        code = int.__index__(code)
        return code if -(2**31) <= code < 2**31 else -1
    try:
        print(_eryx_report.text_of(str, code, "<str() failed with {}>"), file=sys.stderr)
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:
        pass
    return 1


def _deliver_values(value, outcome):
    name = _run.result_name
    if name in _names:
        outcome.update(_deliver(KIND_RESULT, _names.pop(name), name))
    if value is None:
        return
    _deliver(KIND_VALUE, value, "value")
    failed = f"<{_eryx_report.type_name(type(value))}: repr failed with {{}}>"
    text = _eryx_report.text_of(repr, value, failed)
    outcome["value_repr"] = _eryx_report.clean(text if len(text) <= _MAX_REPR else text[:_MAX_REPR] + "...")


def _deliver(kind, value, name):
    try:
        _eryx.deliver(kind, value, name)
    except MemoryError:
        return {"result_error": f"{name}: not enough memory to hand it over"}
    except TypeError as error:
        return {"result_error": _eryx_report.clean(str(error))}
    return {}


def _deliver_outcome(outcome):
    try:
        _eryx.deliver(KIND_OUTCOME, outcome, "outcome")
    except MemoryError:
        small = {key: outcome[key][:1000] for key in ("type", "message") if key in outcome}
        _eryx.deliver(KIND_OUTCOME, small or {"result_error": "not enough memory to hand it over"}, "outcome")


def install():
    """Puts the driver in place. Image time only."""
    global _exit_functions
    _exit_functions = atexit._ncallbacks()
    linecache.updatecache = _update_cache
    signal.signal(_eryx.SIGNAL, _eryx.interrupt)
    _eryx.set_driver(start, resume, interrupt, flush)

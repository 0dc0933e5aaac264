"""Runs the user's code: the other end of eryx_start, eryx_resume and eryx_interrupt.

Everything here is in the memory image. What a run needs is looked up once, at image time, so that user code that
replaces functions of the standard library breaks only itself.
"""

import __main__
import ast
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
from _io import StringIO as _StringIO

# What a delivered value is: Delivery in crates/eryx/src/abi.rs.
KIND_RESULT = 0
KIND_VALUE = 1
KIND_OUTCOME = 2

DONE = -1

_MAX_REPR = 10_000
# Larger sources are not turned into a syntax tree, which takes 50 times their size: their last expression has no value.
_MAX_TREE_SOURCE = 400_000
_VALUE = "_eryx_value"

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_CO_COROUTINE = 0x80
_names = __main__.__dict__
_stdout = sys.stdout
_stderr = sys.stderr
_run = None


class _Run:
    """What is known of the run in progress."""

    __slots__ = ("interrupted", "result_name", "task")

    def __init__(self, result_name):
        self.result_name = result_name
        self.interrupted = False
        self.task = None


def start(request):
    """Runs one request as far as it goes without waiting."""
    return _guarded(_start, request)


def resume(events):
    """Goes on after a wait."""
    return _guarded(_advance)


def interrupt():
    """Ends the waits of a run that is to end: its tasks are cancelled and may clean up."""
    return _guarded(_interrupt)


def _guarded(step, *arguments):
    """An interrupt may come in the middle of our own code too."""
    try:
        return step(*arguments)
    except _eryx.SandboxInterrupt:
        _run.interrupted = True
        return _finish(None)


def _start(request):
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
    try:
        compiled = _compile(code, filename)
        pending = eval(compiled, _names)
    except BaseException as error:
        return _finish(error)
    if not compiled.co_flags & _CO_COROUTINE:
        return _finish(None)
    _run.task = _eryx_loop.begin(pending)
    return _advance()


def _interrupt():
    _run.interrupted = True
    _eryx_loop.cancel_all()
    return _advance()


def _advance():
    next_timer = _eryx_loop.advance(_run.task)
    if next_timer is not None:
        _flush()
        return next_timer
    return _finish(_eryx_loop.outcome(_run.task))


def _compile(code, filename):
    lines = _StringIO(code.decode("utf-8-sig", "replace"), None).readlines()
    linecache.cache[filename] = (len(code), None, lines, filename)
    if len(code) > _MAX_TREE_SOURCE:
        return compile(code, filename, "exec", _FLAGS, True)
    tree = compile(code, filename, "exec", _FLAGS | ast.PyCF_ONLY_AST, True)
    body = tree.body
    if body and type(body[-1]) is ast.Expr:
        last = body[-1]
        target = ast.copy_location(ast.Name(_VALUE, ast.Store()), last)
        body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    return compile(tree, filename, "exec", _FLAGS, True)


def _reseed(seed):
    """Makes what the image froze differ from run to run."""
    random.seed(int.from_bytes(seed))
    logging._startTime = time.time_ns()


def _flush():
    for stream in (sys.stdout, sys.stderr, _stdout, _stderr):
        try:
            stream.flush()
        except Exception:
            pass


def _finish(error):
    """Reports the end of the run."""
    outcome = {}
    if error is not None or _run.interrupted:
        _report_error(error, outcome)
    _flush()
    value = _names.pop(_VALUE, None)
    if not outcome:
        _deliver_values(value, outcome)
    if outcome:
        _deliver_outcome(outcome)
    return DONE


def _report_error(error, outcome):
    if _run.interrupted or isinstance(error, _eryx.SandboxInterrupt):
        outcome["interrupted"] = True
    elif isinstance(error, SystemExit):
        code = _exit_code(error.code)
        if code:
            text = f"SystemExit: {code}"
            outcome.update(type="SystemExit", message=text, traceback=text, frames=[], exit_code=code)
    else:
        _eryx_report.describe(error, outcome)


def _exit_code(code):
    """The exit status of sys.exit(code), as CPython's main() makes it."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code if -(2**31) <= code < 2**31 else -1
    try:
        print(code, file=sys.stderr)
    except Exception:
        pass
    return 1


def _deliver_values(value, outcome):
    name = _run.result_name
    if name in _names:
        try:
            _eryx.deliver(KIND_RESULT, _names.pop(name), name)
        except Exception as error:
            outcome["result_error"] = _eryx_report.message(error)
    if value is None:
        return
    try:
        _eryx.deliver(KIND_VALUE, value, "value")
    except Exception:
        pass
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
    outcome["value_repr"] = _eryx_report.clean(text if len(text) <= _MAX_REPR else text[:_MAX_REPR] + "...")


def _deliver_outcome(outcome):
    try:
        _eryx.deliver(KIND_OUTCOME, outcome, "outcome")
    except Exception as error:
        small = {"type": type(error).__name__, "message": _eryx_report.message(error)}
        _eryx.deliver(KIND_OUTCOME, small, "outcome")


def install():
    """Puts the driver in place. Image time only."""
    signal.signal(_eryx.SIGNAL, _eryx.interrupt)
    _eryx.set_driver(start, resume, interrupt)

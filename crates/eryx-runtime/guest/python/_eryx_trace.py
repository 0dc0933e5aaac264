"""Events of a traced run, by sys.monitoring (PEP 669): only in the user's own code, and only when asked for."""

import opcode
import sys
import time
import types

import _eryx
import _eryx_callbacks
import _eryx_report

# What happened: TraceKind in crates/eryx/src/output/trace.rs.
_LINE = 0
_CALL = 1
_RETURN = 2
_EXCEPTION = 3
_CALLBACK_START = 4
_CALLBACK_END = 5

_TOOL = 4
# Events that are handed over together.
_BATCH = 512
_MAX_TEXT = 1000

_ITERATING = {opcode.opmap[name] for name in ("FOR_ITER", "SEND", "END_ASYNC_FOR", "CLEANUP_THROW")}
_CACHE = opcode.opmap["CACHE"]

_monitoring = sys.monitoring
_events = _monitoring.events
_getframe = sys._getframe
_now = time.perf_counter
_pending = []
_filename = None


def begin(parts, filename):
    """Traces the code objects `parts`, which come from `filename`, and all that is defined in them."""
    global _filename
    _filename = filename
    end()
    _monitoring.use_tool_id(_TOOL, "eryx")
    for event, handler in (
        (_events.LINE, _on_line),
        (_events.PY_START, _on_start),
        (_events.PY_RETURN, _on_return),
        (_events.RAISE, _on_raise),
    ):
        _monitoring.register_callback(_TOOL, event, handler)
    local = _events.LINE | _events.PY_START | _events.PY_RETURN
    todo = list(parts)
    while todo:
        code = todo.pop()
        _monitoring.set_local_events(_TOOL, code, local)
        todo += [constant for constant in code.co_consts if type(constant) is types.CodeType]
    # Exceptions can be watched everywhere only; the handler looks whose code it is.
    _monitoring.set_events(_TOOL, _events.RAISE)
    _eryx_callbacks.observe = _observe


def end():
    """Ends the tracing of a run, if it was traced."""
    if _eryx_callbacks.observe is not None:
        flush()
        _eryx_callbacks.observe = None
        _monitoring.free_tool_id(_TOOL)


def _add(event):
    _pending.append(event)
    if len(_pending) >= _BATCH:
        flush()


def flush():
    """Hands over what has happened so far."""
    if _pending:
        batch = _pending[:]
        _pending.clear()
        _eryx.trace(batch)


def _on_line(code, line):
    _add((_LINE, line, code.co_name, None))


def _on_start(code, offset):
    _add((_CALL, code.co_firstlineno, code.co_name, None))


def _on_return(code, offset, value):
    _add((_RETURN, _getframe(1).f_lineno or 0, code.co_name, None))


def _on_raise(code, offset, error):
    if code.co_filename == _filename and not _ends_iteration(code, offset, error):
        text = _eryx_report.text_of(str, error, "<str() failed with {}>")
        detail = {
            "type": _eryx_report.clean(_eryx_report.type_name(type(error))),
            "message": _eryx_report.clean(text[:_MAX_TEXT]),
        }
        _add((_EXCEPTION, _getframe(1).f_lineno or 0, code.co_name, detail))


def _ends_iteration(code, offset, error):
    """Whether a loop or an await just ends: Python has raised nothing that the code sees."""
    if not _eryx_report.is_one_of(type(error), (StopIteration, StopAsyncIteration)):
        return False
    instructions = code.co_code
    while offset > 0 and instructions[offset] == _CACHE:  # behind the instruction itself
        offset -= 2
    return instructions[offset] in _ITERATING


def _observe(name):
    """A callback is called here. Returns what is to be called when the host takes the call; that returns what is to be called
    with its exception, or None, at the end."""
    line, function = _caller()

    def start():
        started = _now()
        _add((_CALLBACK_START, line, function, {"name": name}))

        def ended(error):
            detail = {"name": name, "durationMs": (_now() - started) * 1000}
            if error is not None:
                detail["error"] = _eryx_report.message(error)[:_MAX_TEXT]
            _add((_CALLBACK_END, line, function, detail))

        return ended

    return start


def _caller():
    """The line and function of the user's code that is running."""
    frame = _getframe(2)
    while frame is not None and frame.f_code.co_filename != _filename:
        frame = frame.f_back
    return (0, None) if frame is None else (frame.f_lineno or 0, frame.f_code.co_name)

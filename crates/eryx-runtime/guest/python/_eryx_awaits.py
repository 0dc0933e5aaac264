"""Coroutines that nobody awaited: nothing of them ran, which is nearly always a mistake.

What is noted here becomes warnings of the run's result. A coroutine that is dropped is noted where CPython warns of it; calls of
callbacks that the code still holds at its end are looked for.
"""

import gc
import linecache
import sys
import traceback
import types
import warnings
import weakref

import _eryx
import _eryx_callbacks
import _eryx_report

# Notes of one run, and characters of one: far below what the host takes.
_MAX_NOTED = 90
_MAX_TEXT = 1000
_HINT = "await it, or declare the callback with sync: true"

# Messages of this run, and the callbacks that they are about, if they are about one.
noted = {}
# Coroutines of callbacks that a run ended with.
_held = weakref.WeakSet()
_is_call = _eryx_callbacks.is_call
_get_objects = gc.get_objects


def is_new(value):
    """Whether this is a coroutine of which nothing ran yet."""
    return type(value) is types.CoroutineType and value.cr_frame is not None and not value.cr_suspended and not value.cr_running


def _note(coroutine):
    """Notes it, and returns what there is to say."""
    name = coroutine.__qualname__
    text = f"coroutine '{name}' was never awaited"
    callback = None
    if _is_call(coroutine):
        callback = _eryx_report.clean(name[:_MAX_TEXT])
        text = f"{text}: {_HINT}"
        _eryx_callbacks.begun += 1
    if len(noted) < _MAX_NOTED:
        noted.setdefault(_eryx_report.clean(text[:_MAX_TEXT]), callback)
    return text


def _dropped(coroutine):
    # warnings._warn_unawaited_coroutine. The frame behind this one is that which dropped it.
    if coroutine in _held:
        return
    if sys._getframe(1).f_code.co_filename[:6] == "/eryx/":  # as the interpreter goes
        warn(coroutine, "sys", 1)
        return
    text = _note(coroutine)
    if coroutine.cr_origin is not None:
        made = [(file, line, name, linecache.getline(file, line)) for file, line, name in reversed(coroutine.cr_origin)]
        text += "\nCoroutine created at (most recent call last)\n" + "".join(traceback.format_list(made)).rstrip("\n")
    warnings.warn(text, RuntimeWarning, stacklevel=2, source=coroutine)


def warn(coroutine, filename, line):
    """As CPython warns of one that is dropped in this line."""
    text = _note(coroutine)
    try:
        warnings.warn_explicit(text, RuntimeWarning, filename, line)
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:  # filters of the user's may make an exception of it
        pass


def look_for_held():
    """Warns of calls of callbacks that the code has made and not awaited, and still holds. CPython does that as it exits."""
    if _eryx_callbacks.made == _eryx_callbacks.begun:
        return
    held = [value for value in _get_objects() if is_new(value) and _is_call(value) and value not in _held]
    for coroutine in held:
        warn(coroutine, "sys", 1)
        _held.add(coroutine)
    _eryx_callbacks.begun = _eryx_callbacks.made


def install():
    """Puts ours in the place of CPython's warning. Image time only."""
    warnings._warn_unawaited_coroutine = _dropped

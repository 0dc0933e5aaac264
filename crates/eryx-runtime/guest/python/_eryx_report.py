"""What is told of an exception: type, message, traceback and frames, with the user's own frames only.

The user's classes may do anything when they are asked for a text. Whatever they raise is a text too; only the interrupt
of the run goes through.
"""

import traceback

import _eryx

# Where our modules lay when the image was made.
_OURS = {f"/eryx/_eryx_{name}.py" for name in ("driver", "loop", "report")}
_MAX_TEXT = 1 << 20
_MAX_FRAMES = 1000
_MAX_ENTRIES = 20_000

_module_of = type.__dict__["__module__"].__get__
_name_of = type.__dict__["__qualname__"].__get__


def clean(text):
    """`text` without what UTF-8 cannot say, cut to a size worth reading."""
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + "..."
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(function, value, otherwise):
    """`function(value)` as an exact str, or `otherwise` with the name of what it raised."""
    try:
        return str.__str__(function(value))
    except _eryx.SandboxInterrupt:
        raise
    except BaseException as error:
        return otherwise.format(type_name(type(error)))


def type_name(kind):
    """The class as the last line of a traceback shows it."""
    name = _name_of(kind)
    try:
        module = _module_of(kind)
    except AttributeError:
        module = None
    if type(module) is not str or module in ("builtins", "__main__"):
        return name
    return f"{module}.{name}"


def message(error):
    text = text_of(str, error, "<exception str() failed>")
    name = type_name(type(error))
    return clean(f"{name}: {text}" if text else name)


def describe(error, outcome):
    """Adds the description of `error` to `outcome`."""
    outcome["type"] = clean(type_name(type(error)))
    outcome["message"] = message(error)
    try:
        shown = traceback.TracebackException.from_exception(error, compact=True, limit=_limit(error))
        _drop_our_frames(shown)
        outcome["traceback"] = clean("".join(shown.format()).rstrip("\n"))
        outcome["frames"] = _frames(shown, error)
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:  # a class whose attributes fail, or no memory left
        outcome["traceback"] = outcome["message"]
        outcome["frames"] = []


def _limit(error):
    """None, or for a traceback too long to be read, the number of its last frames that are shown."""
    entry, count = BaseException.__traceback__.__get__(error), 0
    while entry is not None and count < _MAX_ENTRIES:
        entry, count = entry.tb_next, count + 1
    return None if count < _MAX_ENTRIES else -_MAX_FRAMES


def _drop_our_frames(shown):
    todo, seen = [shown], set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [frame for frame in one.stack if frame.filename not in _OURS]
        todo += [one.__cause__, one.__context__, *(one.exceptions or ())]


def _frames(shown, error):
    frames = [[clean(frame.filename), frame.lineno or 0, clean(frame.name)] for frame in shown.stack[-_MAX_FRAMES:]]
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and isinstance(error.lineno, int):
        frames.append([clean(error.filename), error.lineno, "<module>"])
    return frames

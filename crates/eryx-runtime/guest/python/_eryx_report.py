"""What is told of an exception: type, message, traceback and frames, with the user's own frames only.

The user's classes may do anything when they are asked for a text. Whatever they raise is a text too; only the interrupt
of the run goes through.
"""

import functools
import traceback

import _eryx

# Where our modules lay when the image was made.
_OURS = {
    f"/eryx/_eryx_{name}.py" for name in "awaits callbacks driver files loop platform report runner streams toplevel trace".split()
}
_MAX_TEXT = 1 << 20
_MAX_FRAMES = 1000
_MAX_ENTRIES = 20_000
# Of type.__flags__: a class that was not made in C.
_HEAP_TYPE = 1 << 9
_PLAIN = (str, bytes, int, float, bool, type(None))

_module_of = type.__dict__["__module__"].__get__
_flags_of = type.__dict__["__flags__"].__get__
_name_of = type.__dict__["__qualname__"].__get__


def clean(text):
    """`text` without what UTF-8 cannot say, cut to a size worth reading."""
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + "..."
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(function, value, otherwise):
    """`function(value)` as an exact str, or `otherwise` with the name of what it raised."""
    try:
        return str.__str__(_eryx.as_user(function, value))
    except _eryx.SandboxInterrupt:
        raise
    except BaseException as error:
        return otherwise.format(type_name(type(error)))


def is_one_of(kind, kinds):
    """Whether the class is one of these. `in` would ask its metaclass, which may be the user's."""
    return any(kind is other for other in kinds)


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


def describe(error, report):
    """Adds the description of `error` to `report`."""
    report["type"] = clean(type_name(type(error)))
    report["message"] = message(error)
    call = _call if _is_plain(error) else _eryx.as_user
    try:
        shown = call(_shown, error)
        report["traceback"] = clean("".join(shown.format()).rstrip("\n"))
        report["frames"] = _frames(shown, error)
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:  # a class whose attributes fail, or no memory left
        report["traceback"] = report["message"]
        report["frames"] = []


def _call(function, value):
    return function(value)


def _shown(error):
    return traceback.TracebackException.from_exception(error, compact=True, limit=_limit(error))


def _is_plain(error):
    """Whether no code of the user's is asked about `error`: then the report may take all the memory that there is."""
    todo, seen = [error], set()
    while todo and len(seen) < 100:
        error = todo.pop()
        if error is None or id(error) in seen:
            continue
        if _flags_of(type(error)) & _HEAP_TYPE or type(error) is BaseExceptionGroup:
            return False
        if not all(is_one_of(type(argument), _PLAIN) for argument in error.args):
            return False
        seen.add(id(error))
        todo += error.__cause__, error.__context__
    return not todo


def _limit(error):
    """None, or for a traceback too long to be read, the number of its last frames that are shown."""
    entry, count = BaseException.__traceback__.__get__(error), 0
    while entry is not None and count < _MAX_ENTRIES:
        entry, count = entry.tb_next, count + 1
    return None if count < _MAX_ENTRIES else -_MAX_FRAMES


def _frames(shown, error):
    frames = [[clean(frame.filename), frame.lineno or 0, clean(frame.name)] for frame in shown.stack[-_MAX_FRAMES:]]
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and isinstance(error.lineno, int):
        frames.append([clean(error.filename), error.lineno, "<module>"])
    return frames


def _users(frames):
    for frame, position in frames:
        if frame.f_code.co_filename not in _OURS:
            yield frame, position


def _without_ours(walk):
    """A function of the traceback module that goes over frames, made to leave ours out."""
    return functools.wraps(walk)(lambda start: _users(walk(start)))


def install():
    """Hides our frames from everybody who prints a traceback or a stack. Image time only."""
    for name in ("walk_tb", "walk_stack", "_walk_tb_with_full_positions"):
        setattr(traceback, name, _without_ours(getattr(traceback, name)))

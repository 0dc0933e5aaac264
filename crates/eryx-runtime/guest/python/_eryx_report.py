"""What is told of an exception: type, message, traceback and frames, with the user's own frames only."""

import traceback

# Where our modules lay when the image was made.
_OURS = "/eryx/"
_MAX_TEXT = 1 << 20


def clean(text):
    """`text` without what UTF-8 cannot say, cut to a size worth reading."""
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + "..."
    return text.encode("utf-8", "backslashreplace").decode()


def type_name(error):
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def message(error):
    try:
        text = str(error)
    except Exception:
        text = "<exception str() failed>"
    name = type_name(error)
    return clean(f"{name}: {text}" if text else name)


def describe(error, outcome):
    """Adds the description of `error` to `outcome`."""
    outcome["type"] = clean(type_name(error))
    outcome["message"] = message(error)
    try:
        shown = traceback.TracebackException.from_exception(error, compact=True)
        _drop_our_frames(shown)
        outcome["traceback"] = clean("".join(shown.format()).rstrip("\n"))
        outcome["frames"] = _frames(shown, error)
    except Exception:  # a class whose attributes fail, or no memory left
        outcome["traceback"] = outcome["message"]
        outcome["frames"] = []


def _drop_our_frames(shown):
    todo, seen = [shown], set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_OURS)]
        todo += [one.__cause__, one.__context__, *(one.exceptions or ())]


def _frames(shown, error):
    frames = [[clean(frame.filename), frame.lineno or 0, clean(frame.name)] for frame in shown.stack[-1000:]]
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and isinstance(error.lineno, int):
        frames.append([clean(error.filename), error.lineno, "<module>"])
    return frames

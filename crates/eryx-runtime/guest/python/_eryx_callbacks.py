"""Functions of the host, as the user's code calls them.

A callback is an object that behaves like an async function, or like a plain one if it was declared so. What it knows of itself
beyond its name is decoded when somebody asks.
"""

import collections
import inspect
import unicodedata
from asyncio import events

import _eryx

# Why the host refused a call: Refusal in crates/eryx/src/guest/abi.rs.
_UNKNOWN = -1
_LIMIT = -2
_BUSY = -3
_TOO_MUCH = -4

# eryx.wait without an end of its own: an answer, or the end of the run.
_UNTIL_ANSWER = (1 << 63) - 1

# The number of a callback that is not among those of the host any more.
_NOWHERE = -1

# What an answer is: LetterKind in crates/eryx/src/callback/mailbox.rs, and NO_MEMORY in module.c.
_VALUE = 0
_RAISED = 1
_ARGUMENTS = 2
_TIMED_OUT = 3

# Futures (or an _Answer) and names of the calls in flight, by their numbers.
_waiting = {}
# Futures of calls that the host was too busy for. One at a time tries again: each attempt encodes all arguments.
_queued = collections.deque()
# Every callback, in the order of registration.
_all = []

# Coroutines of calls, and those of them that were begun or are known to be forgotten.
made = begun = 0

# Set by the driver: called before each call, so that output arrives before it.
before_call = None
# Set by the tracer: called with the name where a callback is called. What it returns is called when the call starts, and
# what that returns at its end.
observe = None


class CallbackError(RuntimeError):
    """A function of the host failed."""

    # Of the host's error: its class and its message.
    name = message = ""
    # Name of the function.
    callback = ""


class CallbackArgumentError(CallbackError, TypeError):
    """A function of the host was not called, because its arguments do not match its schema."""


class CallbackLimitError(RuntimeError):
    """The code has called as many functions of the host as it may."""


class Namespace:
    # Functions of the host below a common name. Names with two underscores are not among theirs.

    __slots__ = ("__members__", "__name__")

    def __init__(self, name):
        self.__name__ = name
        self.__members__ = None

    def __getattr__(self, name):
        if name[:2] != "__" and self.__members__ and name in self.__members__:
            return self.__members__[name]
        raise AttributeError(f"{self!r} has no member {name!r}", name=name, obj=self)

    def __getitem__(self, name):
        if not isinstance(name, str):
            raise TypeError(f"{self!r} members are named by str, not {type(name).__name__}")
        if self.__members__ and name in self.__members__:
            return self.__members__[name]
        raise KeyError(name)

    def __dir__(self):
        return sorted({*object.__dir__(self), *(self.__members__ or ())})

    def __repr__(self):
        return f"<namespace {self.__name__}>"

    @property
    def __doc__(self):
        return "Functions of the host: " + ", ".join(self.__members__ or ())


class Callback(Namespace):
    """An async function of the host."""

    __slots__ = ("__details__", "__number__", "__weakref__")

    # What inspect.markcoroutinefunction sets.
    _is_coroutine_marker = inspect._is_coroutine_mark

    def __init__(self, index, name, details):
        self.__name__ = name
        self.__members__ = None
        self.__number__ = index
        self.__details__ = details

    def __call__(self, /, *args, **kwargs):
        global made
        parameters = None if self.__details__ is None else self.__known__()[2]
        if parameters is not None:
            args, kwargs = (), _bind(self, parameters, args, kwargs)
        name = self.__name__
        made += 1
        coroutine = _call(self.__number__, name, args, kwargs, None if observe is None else observe(name))
        coroutine.__name__ = coroutine.__qualname__ = name
        return coroutine

    def __getattr__(self, name):
        if name == "__qualname__":  # a class cannot have a property of this name
            return self.__name__
        return Namespace.__getattr__(self, name)

    def __get__(self, instance, owner=None):
        return self

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __repr__(self):
        return f"<callback {self.__name__}>"

    def __reduce__(self):
        raise TypeError(f"cannot pickle {self!r}")

    def __known__(self):
        """Description, schema, parameters (None: anything) and whether other keywords are taken."""
        if type(self.__details__) is not list:
            self.__details__ = [None, None, None, True] if self.__details__ is None else _eryx.decode(self.__details__)
        return self.__details__

    @property
    def __doc__(self):
        return self.__known__()[0]

    @property
    def __signature__(self):
        return _signature(*self.__known__()[2:])


class SyncCallback(Callback):
    # A function of the host that is called as any other.

    __slots__ = ()
    # Every class gets an attribute of that name.
    __doc__ = Callback.__dict__["__doc__"]

    _is_coroutine_marker = None

    def __call__(self, /, *args, **kwargs):
        parameters = None if self.__details__ is None else self.__known__()[2]
        if parameters is not None:
            args, kwargs = (), _bind(self, parameters, args, kwargs)
        name = self.__name__
        return _call_below(self.__number__, name, args, kwargs, None if observe is None else observe(name))


_ANYTHING = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)


def _signature(parameters, is_open):
    if parameters is None:
        return _ANYTHING
    shown, optional, late = [], False, False
    for name, required, keyword_only, annotation, has_default, default in parameters:
        # Python's own signatures have no required parameter behind an optional one.
        late = late or (required and optional)
        optional = optional or not required
        try:
            parameter = inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY if keyword_only or late else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=default if has_default else inspect.Parameter.empty if required else ...,
                annotation=inspect.Parameter.empty if annotation in (None, "Any") else annotation,
            )
        except ValueError:  # not an identifier: it can be given with ** only
            is_open = True
        else:
            shown.append(parameter)
    shown.sort(key=lambda parameter: parameter.kind)
    if is_open:
        shown.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(shown)


def _bind(callback, parameters, args, kwargs):
    """The arguments by name, as Python binds them for its own functions."""
    name = callback.__name__
    positional = [parameter[0] for parameter in parameters if not parameter[2]]
    if len(args) > len(positional):
        raise TypeError(_too_many(name, len(positional), len(args)))
    bound = dict(zip(positional, args))
    known = None
    for key, value in kwargs.items():
        if key in bound:
            raise TypeError(f"{name}() got multiple values for argument {key!r}")
        if known is None:
            known = {parameter[0] for parameter in parameters}
        if key not in known and not callback.__details__[3]:
            raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
        bound[key] = value
    missing = []
    for key, required, _, _, has_default, default in parameters:
        if key not in bound:
            if required:
                missing.append(repr(key))
            elif has_default:
                bound[key] = default
    if missing:
        raise TypeError(_too_few(name, missing))
    return bound


def _too_many(name, takes, given):
    return f"{name}() takes {takes} positional argument{'' if takes == 1 else 's'} but {given} {'was' if given == 1 else 'were'} given"


def _too_few(name, missing):
    *others, last = missing
    comma = "," if len(others) > 1 else ""
    names = f"{', '.join(others)}{comma} and {last}" if others else last
    return f"{name}() missing {len(missing)} required argument{'s' if others else ''}: {names}"


async def _call(index, name, args, kwargs, start):
    global begun
    begun += 1
    future = events.get_running_loop().create_future()
    ended = None if start is None else start()
    if before_call is not None:
        before_call()
    error = None
    try:
        call = await _start(index, name, args, kwargs)
        _waiting[call] = future, name
        try:
            return await future
        finally:
            if _waiting.pop(call, None) is not None:
                _eryx.cancel(call)
                _make_room()
    except BaseException as raised:
        error = raised
        raise
    finally:
        if ended is not None:
            ended(error)
        del error  # which holds this frame


async def _start(index, name, args, kwargs):
    """The number of the call, once the host has taken it."""
    waited = False
    try:
        while (call := _eryx.call(index, name, args, kwargs)) == _BUSY:
            room = events.get_running_loop().create_future()
            if waited:
                _queued.appendleft(room)
            else:
                _queued.append(room)
            waited = True
            await room
    finally:
        if waited:
            _make_room()
    return _accepted(call, name)


def _accepted(call, name):
    """The number of a call, unless the host has refused it."""
    if call == _LIMIT:
        raise CallbackLimitError(f"{name}() was not called: the limit of callbacks (maxCallbackInvocations) is used up")
    if call == _TOO_MUCH:
        raise TypeError(f"{name}() arguments: more than 64 MiB or 1,048,576 values are not transferable")
    if call < 0:
        raise CallbackError(f"{name}() is not known to the host")
    return call


class _Answer:
    """Where the answer of a call goes that its caller waits below for: what take_answers needs of a future."""

    __slots__ = ("_done", "error", "value")

    def __init__(self):
        self._done = False
        self.error = self.value = None

    def done(self):
        return self._done

    def set_result(self, value):
        self._done = True
        self.value = value

    def set_exception(self, error):
        self._done = True
        self.error = error


def _call_below(index, name, args, kwargs, start):
    """Calls, and waits without giving the loop a turn, if one runs. Answers of other calls are kept for it."""
    ended = None if start is None else start()
    if before_call is not None:
        before_call()
    error = None
    try:
        while (call := _eryx.call(index, name, args, kwargs)) == _BUSY:
            _wait_below()
        call = _accepted(call, name)
        answer = _Answer()
        _waiting[call] = answer, name
        try:
            while not answer.done():
                _wait_below()
        finally:
            if _waiting.pop(call, None) is not None:
                _eryx.cancel(call)
                _make_room()
        if answer.error is not None:
            raise answer.error
        return answer.value
    except BaseException as raised:
        error = raised
        raise
    finally:
        if ended is not None:
            ended(error)
        del error  # which holds this frame


def _wait_below():
    """Waits for answers, and hands them over. The interrupt of the run ends it: below a loop it is noted there only."""
    loop = events._get_running_loop()
    _eryx.wait(_UNTIL_ANSWER)
    take_answers()
    if getattr(loop, "_interrupted", False):
        loop._interrupted = False
        raise _eryx.SandboxInterrupt


def _make_room():
    """Lets the next call that waits for room try again. When it is through, it lets in the one behind it."""
    while _queued:
        room = _queued.popleft()
        if not room.done():
            room.set_result(None)
            break


def waits():
    """Whether an answer may still come."""
    return bool(_waiting)


def take_answers():
    """Hands the answers that have arrived to those who wait for them."""
    while (answer := _eryx.answer()) is not None:
        call, kind, value = answer
        future, name = _waiting.pop(call, (None, None))
        if future is None or future.done():
            continue
        if kind == _VALUE:
            future.set_result(value)
        else:
            future.set_exception(_failure(kind, name, value))
    _make_room()


def _failure(kind, name, value):
    if kind == _TIMED_OUT:
        return TimeoutError(f"{name}() took longer than {value:g} ms")
    if kind == _RAISED:
        error_name, message = value or ("", "")
        error = CallbackError(f"{error_name}: {message}" if error_name and message else error_name or message)
        error.name, error.message, error.callback = error_name, message, name
        return error
    if kind == _ARGUMENTS:
        error = CallbackArgumentError(f"{name}(): {value}")
        error.name, error.message, error.callback = "", value, name
        return error
    return MemoryError(f"the result of {name}() does not fit into memory")


def register(table, names):
    """Puts the callbacks of a run into the namespace `names`."""
    below = []
    *listed, sync = table
    for index, (name, details) in enumerate(zip(*listed)):
        callback = (SyncCallback if index in sync else Callback)(index, name, details)
        _all.append(callback)
        if "." in name:
            below.append(callback)
        else:
            names[name if name.isascii() else identifier(name)] = callback
    for callback in below:
        first, *rest = callback.__name__.split(".")
        _place([identifier(first), *rest], callback, names)


def rebind(table, names):
    """Gives the callbacks of a restored interpreter their places in another table. What is not in it can no longer be called;
    what is new is added, unless the user's code has a variable of that name."""
    *listed, sync = table
    places = {name: (index, details) for index, (name, details) in enumerate(zip(*listed))}
    for callback in _all:
        index, callback.__details__ = places.pop(callback.__name__, (_NOWHERE, callback.__details__))
        callback.__number__ = index
        if index != _NOWHERE:
            callback.__class__ = SyncCallback if index in sync else Callback
    for name, (index, details) in places.items():
        callback = (SyncCallback if index in sync else Callback)(index, name, details)
        _all.append(callback)
        first, *rest = name.split(".")
        first = identifier(first)
        # A variable of the user's stays.
        if issubclass(type(names.get(first, callback)), Namespace):
            _place([first, *rest], callback, names)


def identifier(name):
    """A name as the compiler stores it."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def _place(path, callback, members):
    """Puts a callback below its namespaces, which are made as needed."""
    for depth, part in enumerate(path[:-1], 1):
        space = members.get(part)
        if not issubclass(type(space), Namespace):
            space = members[part] = Namespace(".".join(path[:depth]))
        if space.__members__ is None:
            space.__members__ = {}
        members = space.__members__
    before = members.get(path[-1])
    if issubclass(type(before), Namespace):
        callback.__members__ = before.__members__
    members[path[-1]] = callback


def is_call(coroutine):
    """Whether a callback made this coroutine."""
    return coroutine.cr_code is _CALL_CODE


_CALL_CODE = _call.__code__


def list_callbacks():
    """What the host offers: a list of dicts with name, description, signature and schema of each function, and whether it is
    called without await ("sync")."""
    listed = []
    for callback in _all:
        if callback.__number__ == _NOWHERE:
            continue
        description, schema, _, _ = callback.__known__()
        listed.append(
            {
                "name": callback.__name__,
                "description": description,
                "signature": callback.__signature__.format(quote_annotation_strings=False),
                "schema": schema,
                "sync": type(callback) is SyncCallback,
            }
        )
    return listed


def install(builtins):
    """Makes our exceptions and list_callbacks known everywhere. Image time only."""
    Callback.__module__ = SyncCallback.__module__ = Namespace.__module__ = "builtins"
    for made in (CallbackError, CallbackArgumentError, CallbackLimitError, list_callbacks):
        made.__module__ = "builtins"
        setattr(builtins, made.__name__, made)

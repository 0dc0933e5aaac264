"""What code leaves open: written to where it belongs when the code ends, and finished before the interpreter goes.

CPython does that when it shuts down: functions of atexit, then the finalizers of what is left. Here an interpreter is dropped as it
is, so the objects are only told. A session rests between executions: there, open files are flushed and stay open.
"""

import _io
import atexit
import gc
import gzip
import io
import logging
import sqlite3
import sys
import types
import weakref
import zipfile
from asyncio import events

import _eryx
import _eryx_loop

# Answers of _eryx.finish(). Any other number: files are open for writing; it changes when one more was opened.
_LAST = -1
_NO_WRITERS = 0

_BUFFERED = (io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair)
_references = sys.getrefcount
# What the image has of these.
_modules = sys.modules
_handlers = logging._handlerList
_finalizers = weakref.finalize._registry
# Code that came so far may define classes with finalizers.
_defines_finalizers = False
# What had been opened when the objects were searched last, and the writers among them: a weak reference, and how many references
# there were. One more may be another writer around it.
_stamp = _NO_WRITERS
_writers = []


def end_code(context):
    """The code has ended. What the host says of this interpreter, for `leave`: 0 if there is nothing left to do."""
    answer = _eryx.finish(_defines_finalizers)
    if answer == _LAST:
        _guarded(_run_exit_functions, context)
    elif answer == _NO_WRITERS and _writers:
        _writers.clear()
    return answer


def leave(context, answer):
    """Flushes what stays open, or finishes it if nothing runs in this interpreter any more. Whether something of the user's was
    called."""
    step, argument = (_finalize_all, context) if answer == _LAST else (_flush_writers, answer)
    return _guarded(step, argument) is not False


def end_interpreter(context):
    """What CPython does at its end, as far as anybody can notice it."""
    _guarded(_run_exit_functions, context)
    _guarded(_finalize_all, context)


def note_source(source):
    """Code comes that will run."""
    global _defines_finalizers
    if source.find(b"__del__") >= 0:
        _defines_finalizers = True


def forget():
    """The interpreter was restored: what is open now was opened by others."""
    global _stamp
    _stamp = _NO_WRITERS


def rehearsed():
    """Notes what the image has. Image time only."""
    global _defines_finalizers
    _defines_finalizers = False
    _eryx.note_ends(atexit._ncallbacks, _modules, _handlers, _finalizers)


def _guarded(step, argument):
    """Calls it. Memory may be used up, and the user's code may have changed anything."""
    try:
        return step(argument)
    except _eryx.SandboxInterrupt:
        raise
    except BaseException:
        return None


def _run_exit_functions(context):
    _guarded(_close_generators, _eryx_loop.idle_loop())
    if _eryx.has_exit_functions():
        _eryx.as_user(context.run, atexit._run_exitfuncs)


def _close_generators(loop):
    """Ends half-run async generators, as asyncio.run does."""
    if loop is None or not len(loop._asyncgens):
        return
    loop._thread_id = None
    events._set_running_loop(None)
    loop._selector.blocking = True
    try:
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop._selector.blocking = False


def _finalize_all(context):
    """Returns whether there was anything."""
    objects = _eryx.finalizable()
    if not objects:
        return False
    _finalize(context, objects)
    # Finalizers may leave objects that have one.
    _finalize(context, _eryx.finalizable())
    return True


def _finalize(context, objects):
    """In an order in which none loses what it has still to write: what uses files, writers around other writers, then those and
    what they write to."""
    ranks = [], [], [], [], []
    for thing in objects:
        ranks[_rank(type(thing))].append(thing)
    objects.clear()
    _finalize_members(context, ranks)
    ours = _eryx_loop.idle_loop()
    for rank, things in enumerate(ranks):
        if rank == 1:
            _flush(ranks[2])
            _flush(ranks[3])
        for thing in things:
            if issubclass(type(thing), sqlite3.Connection):
                _close_database(thing)
            if thing is not ours:
                for part in _innermost_first(thing):
                    _eryx.as_user(context.run, _eryx.finalize, part)


def _finalize_members(context, ranks):
    """What still writes into an archive goes before the archive, which cannot be closed meanwhile."""
    members = [thing for thing in ranks[1] if issubclass(type(thing), zipfile._ZipWriteFile)]
    if members:
        _flush(ranks[2])
        _flush(ranks[3])
    for thing in members:
        _eryx.as_user(context.run, _eryx.finalize, thing)


def _innermost_first(thing):
    """A chain of generators or coroutines: closing the outermost one would go down all of it, as deep as the stack or deeper."""
    chain = [thing]
    while (inner := _inner(chain[-1])) is not None:
        chain.append(inner)
    return reversed(chain)


def _inner(thing):
    kind = type(thing)
    inner = thing.gi_yieldfrom if kind is types.GeneratorType else thing.cr_await if kind is types.CoroutineType else None
    kind = type(inner)
    return inner if kind is types.GeneratorType or kind is types.CoroutineType else None


def _close_database(connection):
    """Its finalizer alone leaves the file locked as long as there are statements, which CPython frees."""
    for cursor in gc.get_referrers(connection):
        if issubclass(type(cursor), sqlite3.Cursor):
            _guarded(sqlite3.Cursor.close, cursor)
    _guarded(sqlite3.Connection.rollback, connection)
    _guarded(sqlite3.Connection.close, connection)


def _rank(kind):
    # Not isinstance(), which asks the object.
    if not issubclass(kind, _io._IOBase):
        return 0
    if issubclass(kind, io.TextIOWrapper):
        return 2
    if issubclass(kind, (*_BUFFERED, io.BufferedReader)):
        return 3
    return 4 if issubclass(kind, _io._RawIOBase) else 1


def _flush_writers(answer):
    global _stamp
    if answer != _stamp or any(_references(writer()) != count for writer, count in _writers if writer() is not None):
        _find_writers()
        _stamp = answer
    # The second time for writers around others.
    for kinds in (io.TextIOWrapper, gzip.GzipFile, _BUFFERED, _BUFFERED):
        _flush([thing for writer, _ in _writers if issubclass(type(thing := writer()), kinds)])


def _find_writers():
    kinds = (io.TextIOWrapper, gzip.GzipFile, io.FileIO, *_BUFFERED)
    found = [weakref.ref(thing) for thing in _eryx.finalizable() if issubclass(type(thing), kinds)]
    _writers[:] = [(writer, _references(writer())) for writer in found]


def _flush(files):
    for file in files:
        try:
            wanted = not file.closed and file.writable()
        except _eryx.SandboxInterrupt:
            raise
        except BaseException:  # detached, or a method of the user's
            continue
        if wanted:
            _eryx.flush(file)

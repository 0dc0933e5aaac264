"""What runs an event loop from synchronous code, as coroutines: asyncio.run, Runner.run, loop.run_until_complete.

They do what asyncio's own do (asyncio/runners.py, asyncio/base_events.py). Where these would wait, they yield: the guest
returns to the host with an empty stack, and so may be suspended there.
"""

import asyncio
import functools
import inspect
import signal
import sys
import types
from asyncio import base_events, constants, coroutines, events, exceptions, futures, runners, tasks

import _eryx
import _eryx_loop
import _eryx_toplevel

_get_trace = sys.gettrace
_get_profile = sys.getprofile
_set_trace = sys.settrace
_set_profile = sys.setprofile


class Script:
    """Top-level code that awaits nothing but what is in this module. Between these it runs without a loop, as in CPython.
    `go_on` begins what comes after it: a coroutine, or None if that is all. `call` calls a function in the code's context."""

    __slots__ = ("call", "coroutine", "error", "go_on", "interrupt")

    def __init__(self, coroutine, go_on, call):
        self.coroutine = coroutine
        self.go_on = go_on
        self.call = call
        self.interrupt = self.error = None

    def done(self):
        return self.coroutine is None

    def cancel(self):
        """Raises the interrupt where the code waits, once it goes on."""
        self.interrupt = _eryx.SandboxInterrupt()


def advance(script):
    """Goes on until only waits are left: nanoseconds until the next timer, or None at the end."""
    next_timer = None
    try:
        while next_timer is None and script.coroutine is not None:
            interrupt, script.interrupt = script.interrupt, None
            try:
                coroutine = script.coroutine
                step = (coroutine.send, None) if interrupt is None else (coroutine.throw, interrupt)
                next_timer = script.call(*step)
            except StopIteration as end:
                # The code may itself have raised it: at the top level the compiler makes no RuntimeError of it.
                if end.__traceback__.tb_next is not None:
                    raise
            if next_timer is None:
                script.coroutine = script.go_on()
    except BaseException as raised:
        if script.coroutine is not None and script.coroutine.cr_frame is not None:  # the interrupt met this function
            raise
        script.coroutine, script.error = None, raised
    # Functions that the user set to watch calls are not for ours. No call of ours may come before this.
    try:
        _set_trace(None)
        _set_profile(None)
    except BaseException:  # the profile function saw the call and raised: it is gone
        pass
    return next_timer


def outcome(script):
    """The exception that ended the code, or None. Its traceback has a frame that knows the script."""
    error, script.error = script.error, None
    return error


@types.coroutine
def _run_forever(loop):
    """loop.run_forever(). Yields nanoseconds until the next timer."""
    blocking, loop._selector.blocking = loop._selector.blocking, False
    try:
        while True:
            try:
                loop._run_forever_setup()
                stopped = _run_ready(loop)
            finally:
                loop._run_forever_cleanup()
            if stopped:
                return
            next_timer = _eryx_loop.next_timer(loop)
            if next_timer is None:
                raise RuntimeError(_eryx_loop.DEADLOCK)
            trace, profile = _get_trace(), _get_profile()
            if trace is None and profile is None:
                yield next_timer
            else:
                _set_trace(None)
                _set_profile(None)
                yield next_timer
                _set_trace(trace)
                _set_profile(profile)
    finally:
        loop._selector.blocking = blocking


def _run_ready(loop):
    """Runs until only waits are left, or the loop is stopped: whether it is."""
    while True:
        loop._run_once()
        if loop._stopping:
            return True
        if not loop._ready:
            return False


async def _run_until_complete(loop, future):
    loop._check_closed()
    loop._check_running()
    new_task = not futures.isfuture(future)
    future = tasks.ensure_future(future, loop=loop)
    if new_task:
        future._log_destroy_pending = False
    future.add_done_callback(base_events._run_until_complete_cb)
    try:
        await _run_forever(loop)
    except:
        if new_task and future.done() and not future.cancelled():
            future.exception()
        raise
    finally:
        future.remove_done_callback(base_events._run_until_complete_cb)
    if not future.done():
        raise RuntimeError("Event loop stopped before Future completed.")
    return future.result()


async def _runner_run(runner, coro, *, context=None):
    if events._get_running_loop() is not None:
        raise RuntimeError("Runner.run() cannot be called from a running event loop")
    runner._lazy_init()
    if type(runner._loop) is not _eryx_loop.Loop:
        return runner.run(coro, context=context)
    if not coroutines.iscoroutine(coro):
        if not inspect.isawaitable(coro):
            raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")
        coro = _wrap_awaitable(coro)
    task = runner._loop.create_task(coro, context=runner._context if context is None else context)
    on_sigint = _watch_sigint(runner, task)
    runner._interrupt_count = 0
    try:
        return await _run_until_complete(runner._loop, task)
    except exceptions.CancelledError:
        if runner._interrupt_count > 0 and task.uncancel() == 0:
            raise KeyboardInterrupt()
        raise
    finally:
        if on_sigint is not None and signal.getsignal(signal.SIGINT) is on_sigint:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _watch_sigint(runner, task):
    """Makes the first signal.raise_signal(SIGINT) cancel the task. The handler, if there is one."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return None
    handler = functools.partial(runner._on_sigint, main_task=task)
    signal.signal(signal.SIGINT, handler)
    return handler


async def _wrap_awaitable(awaitable):
    return await awaitable


async def _run(main, *, debug=None, loop_factory=None):
    runner = runners.Runner(debug=debug, loop_factory=loop_factory)
    runner._lazy_init()
    try:
        return await _runner_run(runner, main)
    finally:
        await _close(runner)


async def _close(runner):
    """runner.close()"""
    loop = runner._loop
    if type(loop) is not _eryx_loop.Loop:
        runner.close()
        return
    try:
        await _cancel_all_tasks(loop)
        await _run_until_complete(loop, loop.shutdown_asyncgens())
        await _run_until_complete(loop, loop.shutdown_default_executor(constants.THREAD_JOIN_TIMEOUT))
    finally:
        if runner._set_event_loop:
            events.set_event_loop(None)
        loop.close()
        runner._loop = None
        runner._state = runners._State.CLOSED


async def _cancel_all_tasks(loop):
    left = tasks.all_tasks(loop)
    if not left:
        return
    for task in left:
        task.cancel()
    await _run_until_complete(loop, tasks.gather(*left, return_exceptions=True))
    for task in left:
        if not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {"message": "unhandled exception during asyncio.run() shutdown", "exception": task.exception(), "task": task}
            )


@types.coroutine
def _in_task(steps):
    """Awaits `steps` in a task: the loop of the task rests meanwhile."""
    outer = events._get_running_loop()
    task = asyncio.current_task(outer)
    error = None
    while True:
        tasks._leave_task(outer, task)
        events._set_running_loop(None)
        try:
            next_timer = steps.send(None) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value
        finally:
            events._set_running_loop(outer)
            tasks._enter_task(outer, task)
        waiter = outer.create_future()
        _eryx_loop.resting = waiter, next_timer
        try:
            yield from waiter
            error = None
        except BaseException as raised:
            error = raised


async def _value(value):
    return value


# Methods, whose they are, and what they become.
_METHODS = (
    (base_events.BaseEventLoop.run_until_complete, _eryx_loop.Loop, _run_until_complete),
    (runners.Runner.run, runners.Runner, _runner_run),
)
_MADE_HERE = {function.__code__ for function in (_run, _run_until_complete, _runner_run)}


def _callee(function):
    """What is called at the top level in the place of `function`."""
    if function is _eryx_loop.run:
        return _run
    if type(function) is types.MethodType:
        for method, owner, steps in _METHODS:
            if function.__func__ is method and type(function.__self__) is owner:
                return functools.partial(steps, function.__self__)
    return function


def _outcome(made):
    """An awaitable for what the callee returned."""
    if type(made) is not types.CoroutineType or made.cr_code not in _MADE_HERE:
        return _value(made)
    if made.cr_code is _run.__code__ and events._get_running_loop() is not None:
        return _in_task(made)
    return made


def install(builtins):
    """Makes top-level code find the two. Image time only."""
    replaced = [(_eryx_loop.run, _run), *((method, steps) for method, _, steps in _METHODS)]
    for original, steps in replaced:  # their names are in what TypeErrors say
        steps.__name__, steps.__qualname__ = original.__name__, original.__qualname__
    for name, function in (
        (_eryx_toplevel.CALLEE, _callee),
        (_eryx_toplevel.OUTCOME, _outcome),
        (_eryx_toplevel.OUTCOME_IN_TASK, _outcome),
    ):
        setattr(builtins, name, function)

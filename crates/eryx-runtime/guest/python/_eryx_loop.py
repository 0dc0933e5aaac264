"""asyncio on a loop that the host drives.

The loop is asyncio's own, with another select step. As long as a callback is ready it runs; when only waits are left,
the guest returns to the host with an empty stack and says when its next timer is due. `asyncio.run` in a synchronous function
gets a loop whose select step waits inside a host call; at the top level it is _eryx_runner's.
"""

import asyncio
import heapq
from asyncio import base_events, events, futures, runners, unix_events
from concurrent.futures import ThreadPoolExecutor

import _eryx
import _eryx_callbacks

_NO_TIMER = (1 << 63) - 1
DEADLOCK = "deadlock: every task waits, and nothing is left that could wake one"

# The loop of the user's top-level code, made when that first awaits. The locks and queues of a session stay with it.
_loop = None
# The top-level task, if it was cancelled because nothing could ever wake it.
_deadlocked = set()
# While a task of that loop runs a loop of its own: the future that the task waits for, and when its next timer is due.
resting = None


class _Selector:
    """The select step. What arrives are the answers of callbacks; a blocking loop waits for them in the host."""

    def __init__(self, blocking):
        self.blocking = blocking

    def select(self, timeout):
        if self.blocking and timeout != 0:
            if timeout is None and not _eryx_callbacks.waits():
                raise RuntimeError(DEADLOCK)
            _eryx.wait(_NO_TIMER if timeout is None else int(timeout * 1e9) + 1)
        if _eryx_callbacks.waits():
            _eryx_callbacks.take_answers()
        return []

    def get_map(self):
        return {}

    def close(self):
        pass


class Loop(base_events.BaseEventLoop):
    """asyncio's loop without file descriptors."""

    def __init__(self, selector=None, *, blocking=True):
        """A selector of the caller's is not needed: nothing can be selected."""
        super().__init__()
        self._selector = _Selector(blocking)
        self._clock_resolution = 1e-6
        self._interrupted = False

    def _run_once(self):
        super()._run_once()
        if self._interrupted:
            self._interrupted = False
            raise _eryx.SandboxInterrupt

    def call_exception_handler(self, context):
        """An interrupt that met the loop's own code between two callbacks ends up here: it goes on."""
        if isinstance(context.get("exception"), _eryx.SandboxInterrupt):
            self._interrupted = True
        else:
            super().call_exception_handler(context)

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass

    def run_in_executor(self, executor, func, *args):
        """Threads cannot start here: the function runs at once, unless an executor of the user's own takes it."""
        self._check_closed()
        if self._debug:
            self._check_callback(func, "run_in_executor")
        if executor is None:
            self._check_default_executor()
        elif not issubclass(type(executor), ThreadPoolExecutor):
            return futures.wrap_future(executor.submit(func, *args), loop=self)
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except SystemExit, KeyboardInterrupt:
            raise
        except BaseException as error:
            future.set_exception(error)
        return future


class Policy(events._AbstractEventLoopPolicy if hasattr(events, "_AbstractEventLoopPolicy") else object):
    """Hands out loops of ours."""

    _current = None

    def get_event_loop(self):
        if self._current is None:
            raise RuntimeError("There is no current event loop in thread 'MainThread'.")
        return self._current

    def set_event_loop(self, loop):
        self._current = loop

    def new_event_loop(self):
        return Loop()


# Code that must not be left in the middle: a callback that was taken from the queue would be lost.
_UNINTERRUPTED = {base_events.__file__, events.__file__, heapq.__file__, _eryx_callbacks.__file__, __file__}


def on_signal(signum, frame):
    """The handler of the interrupt: raises where the user's code runs, and at the end of the loop's step otherwise."""
    loop = events._get_running_loop()
    if isinstance(loop, Loop) and frame is not None and frame.f_code.co_filename in _UNINTERRUPTED:
        loop._interrupted = True
    else:
        _eryx.interrupt(signum, frame)


async def _main(script):
    """The user's top-level code, and what asyncio.run does after it."""
    try:
        return await script
    finally:
        # What was dropped at the end, such as an async generator that a loop broke out of, is closed by callbacks.
        for _ in range(3):
            if _loop._ready:
                await asyncio.sleep(0)
        await _cancel_leftovers()


async def _cancel_leftovers():
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for task in left:
        if not task.cancelled() and task.exception() is not None:
            _loop.call_exception_handler(
                {"message": "unhandled exception while a left-over task was cancelled", "exception": task.exception(), "task": task}
            )


def begin(script, context):
    """A task for top-level code that awaits, which runs in `context`."""
    global _loop, resting
    resting = None
    if _loop is None or _loop.is_closed():
        _loop = Loop(blocking=False)
    _loop._asyncgens_shutdown_called = False
    return _loop.create_task(_main(script), name="main", context=context)


def idle_loop():
    """The loop of the top-level code, if there is one that can run."""
    return None if _loop is None or _loop.is_closed() else _loop


def cancel_all():
    """Asks every task to end."""
    if _loop is not None:
        for task in asyncio.all_tasks(_loop):
            task.cancel()


def advance(task):
    """Runs until only waits are left: nanoseconds until the next timer, or None if `task` is done."""
    loop = _loop
    # The interrupt may have come in the middle of what begins and ends the last call.
    loop._thread_id = None
    events._set_running_loop(None)
    _end_rest()
    loop._run_forever_setup()
    try:
        while True:
            try:
                loop._run_once()
            except SystemExit, KeyboardInterrupt:
                pass  # the task has it as its exception too, and is done
            if not loop._ready or task.done() or resting is not None:
                break
    finally:
        loop._run_forever_cleanup()
    if task.done():
        return None
    timer = next_timer(loop) if resting is None else resting[1]
    if timer is None:
        _deadlocked.add(task)
        task.cancel()
        return 0
    return timer


def _end_rest():
    """Lets a task go on that runs a loop of its own."""
    global resting
    if resting is not None:
        waiter, resting = resting[0], None
        if not waiter.done():
            waiter.set_result(None)


def next_timer(loop):
    """Nanoseconds until the next timer of a loop that only waits, or None if nothing can ever wake it."""
    _drop_cancelled_timers(loop)
    if loop._scheduled:
        return max(0, int((loop._scheduled[0]._when - loop.time()) * 1e9))
    return _NO_TIMER if _eryx_callbacks.waits() else None


def _drop_cancelled_timers(loop):
    scheduled = loop._scheduled
    while scheduled and scheduled[0]._cancelled:
        loop._timer_cancelled_count -= 1
        heapq.heappop(scheduled)._scheduled = False


def outcome(task):
    """The exception that ended `task`, or None."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if task in _deadlocked:
        _deadlocked.clear()
        if isinstance(error, asyncio.CancelledError):
            return RuntimeError(DEADLOCK)
    return error


def run(main, *, debug=None, loop_factory=None):
    """asyncio.run, also inside code that a loop runs already: that loop rests meanwhile."""
    outer = events._get_running_loop()
    if outer is None:
        return _stock_run(main, debug=debug, loop_factory=loop_factory)
    task = asyncio.current_task(outer)
    if task is not None:
        asyncio.tasks._leave_task(outer, task)
    events._set_running_loop(None)
    try:
        return _stock_run(main, debug=debug, loop_factory=loop_factory)
    finally:
        events._set_running_loop(outer)
        if task is not None:
            asyncio.tasks._enter_task(outer, task)


_stock_run = runners.run


def install():
    """Makes asyncio use loops of ours. Image time only."""
    stock = unix_events.SelectorEventLoop
    # The name that asyncio on Linux gives its loop.
    Loop.__name__, Loop.__qualname__, Loop.__module__ = stock.__name__, stock.__qualname__, stock.__module__
    ours = {stock: Loop, unix_events._DefaultEventLoopPolicy: Policy}
    for module in (asyncio, unix_events):
        module.__dict__.update({name: ours[value] for name, value in module.__dict__.items() if type(value) is type and value in ours})
    events._set_event_loop_policy(Policy())
    for module in (asyncio, runners):
        module.run = run
    run.__doc__ = _stock_run.__doc__

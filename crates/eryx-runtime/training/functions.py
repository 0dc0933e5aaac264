"""Calls of every kind, closures, generators, errors."""

import contextlib
import functools
import itertools


def plain(a, b=2, *rest, c=3, **others):
    return a + b + c + len(rest) + len(others)


def calls():
    arguments, named = (1, 2, 3), {"c": 4, "d": 5}
    total = 0
    for n in range(3000):
        total += plain(n) + plain(n, 1) + plain(1, c=n) + plain(*arguments, **named) + plain(1, 2, 3, 4, x=1)
        total += (lambda x, y=1: x + y)(n) + len("abc") + abs(-n) + min(n, 3) + int("7")
    return total


def ackermann(m, n):
    if m == 0:
        return n + 1
    return ackermann(m - 1, 1 if n == 0 else ackermann(m, n - 1))


def hanoi(n, source, target, other):
    if n == 0:
        return 0
    return hanoi(n - 1, source, other, target) + 1 + hanoi(n - 1, other, target, source)


def counter(start):
    count = start

    def step(by=1):
        nonlocal count
        count += by
        return count

    return step


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return function(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


@logged
def add(a, b):
    return a + b


@functools.lru_cache(maxsize=None)
def ways(steps):
    return 1 if steps < 2 else ways(steps - 1) + ways(steps - 2)


@functools.singledispatch
def describe(value):
    return "something"


@describe.register
def _(value: int):
    return "a number"


def higher():
    step = counter(5)
    half = functools.partial(plain, b=1, c=2)
    for n in range(2500):
        step(), step(2), add(n, 1), half(n), describe(n), describe("x")
    ways(120)
    return functools.reduce(lambda a, b: a * b % 1009, range(1, 500)), sorted(range(500), key=functools.cmp_to_key(lambda a, b: b - a))


def numbers(limit):
    n = 0
    while n < limit:
        received = yield n
        n += received or 1


def flatten(value):
    if isinstance(value, list):
        for item in value:
            yield from flatten(item)
    else:
        yield value


def pipeline(source):
    evens = (n for n in source if n % 2 == 0)
    squares = (n * n for n in evens)
    yield from (square + 1 for square in squares)


def generators():
    total = sum(numbers(4000)) + sum(pipeline(range(4000)))
    sending = numbers(4000)
    next(sending)
    with contextlib.suppress(StopIteration):
        while True:
            sending.send(2)
    closing = numbers(10)
    next(closing)
    closing.close()
    nested = [1, [2, [3, [4, list(range(50))]]], [5] * 20]
    for _ in range(40):
        total += sum(flatten(nested))
    return total, list(itertools.islice(numbers(10**9), 500))


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


@contextlib.contextmanager
def managed(log):
    log.append("in")
    try:
        yield log
    finally:
        log.append("out")


class Guard:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        return kind is Failure


def risky(n):
    if n % 3 == 0:
        raise Failure(n, "third")
    if n % 5 == 0:
        return 1 // (n - n)
    return {"n": n}["m" if n % 7 == 0 else "n"]


def errors():
    seen, log = {}, []
    for n in range(3000):
        try:
            try:
                risky(n)
            except ZeroDivisionError as error:
                raise ValueError("wrapped") from error
            except Failure as error:
                if error.code % 2:
                    raise
            else:
                seen["fine"] = n
            finally:
                seen["last"] = n
        except (ValueError, KeyError) as error:
            seen[type(error).__name__] = str(error)
        except Exception as error:
            seen[repr(error)] = error.args
    for n in range(600):
        with managed(log), Guard():
            if n % 4 == 0:
                raise Failure(n, "guarded")
        try:
            raise ExceptionGroup("several", [ValueError(n), TypeError("t")])
        except* ValueError as group:
            log.append(len(group.exceptions))
        except* TypeError:
            pass
    for wrong in (lambda: [][1], lambda: int("x"), lambda: None.x, lambda: undefined, lambda: "a" + 1, lambda: next(iter(()))):
        for _ in range(60):
            try:
                wrong()
            except (IndexError, ValueError, AttributeError, NameError, TypeError, StopIteration):
                pass
    return len(seen)


calls(), higher(), generators(), errors(), hanoi(10, "a", "b", "c"), ackermann(2, 30)

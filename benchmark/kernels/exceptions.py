"""Raise and catch: through frames, with finally, chained, and from the interpreter itself."""


class Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


def innermost(number):
    if number % 2:
        raise Refused(number)
    return number


def middle(number):
    try:
        return innermost(number)
    finally:
        number += 1


def chained(number):
    try:
        return middle(number)
    except Refused as error:
        raise ValueError("refused") from error


def run():
    empty = {}
    total = 0
    for number in range(135_000):
        try:
            total += chained(number)
        except ValueError as error:
            total += error.__cause__.code
        try:
            total += empty[number]
        except KeyError:
            total += 1
        try:
            int("no")
        except (TypeError, ValueError):
            total += 1
    return total

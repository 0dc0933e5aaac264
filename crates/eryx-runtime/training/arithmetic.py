"""Integers of all sizes, floats, complex numbers, decimals, fractions, and the functions of mathematics."""

import cmath
import decimal
import fractions
import math
import random
import statistics


def small_integers():
    total = 0
    for number in range(30_000):
        total += number * 3 // 2 - number % 7
        if number & 1:
            total ^= number << 2
        elif number > 20_000 and total >= 0:
            total -= number >> 1
    return total


def collatz(limit):
    longest = 0
    for start in range(1, limit):
        number, steps = start, 0
        while number != 1:
            number = number // 2 if number % 2 == 0 else 3 * number + 1
            steps += 1
        longest = max(longest, steps)
    return longest


def large_integers():
    factorial = 1
    for number in range(1, 300):
        factorial *= number
    text = str(factorial)
    assert int(text) == factorial
    pow(3, 2000, 2**127 - 1)
    return divmod(factorial, 10**50), math.isqrt(factorial), factorial.bit_length(), hex(factorial), hash(factorial)


def floats():
    total = 0.0
    for number in range(1, 20_000):
        value = number / 7.0
        total += math.sqrt(value) * math.sin(value) - value**1.5 / (value + 1)
        if value > 1000.0:
            total = -total
        total = round(total, 6) + int(value) + abs(total) % 3.5
    return total, math.floor(total), math.isclose(total, total + 1e-9), math.log(10), math.atan2(1, 2), math.hypot(3, 4)


def texts():
    for number in range(3000):
        float(str(number / 3))
        int(str(number * 1001))
        int(format(number, "x"), 16)
        repr(number * 1e17)
        complex(number, -number) * cmath.exp(1j) + 2
        bin(number)


def exact():
    context = decimal.getcontext()
    context.prec = 28
    price = decimal.Decimal("19.99")
    total = sum((price * count for count in range(800)), decimal.Decimal())
    total.quantize(decimal.Decimal("0.01"))
    third = fractions.Fraction(1, 3)
    for number in range(1, 200):
        third = third + fractions.Fraction(1, number * number % 17 + 1)
    return total, third > 1, total / 7, total.sqrt()


def samples():
    generator = random.Random(7)
    values = [generator.gauss(10, 2) for _ in range(1500)]
    generator.shuffle(values)
    generator.sample(values, 20)
    for _ in range(2000):
        generator.randint(1, 6)
        generator.random()
        generator.choice(values)
    return statistics.mean(values), statistics.stdev(values), statistics.median(values), math.fsum(values), sum(values)


def comparisons():
    count = 0
    for a in range(60):
        for b in range(60):
            if a == b or (a < b <= 50 and not a != 3):
                count += 1
            if a is None or isinstance(b, float):
                count -= 1
            if 0.5 * a >= b > 1.5:
                count += bool(a)
    return count


for work in (small_integers, large_integers, floats, texts, exact, samples, comparisons):
    work()
collatz(600)
math.factorial(50), math.gcd(120, 84), math.comb(30, 12), max(range(1000)), min([3, 1, 2]), any([0, 0, 1]), all([1, 1])

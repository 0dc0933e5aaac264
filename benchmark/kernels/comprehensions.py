"""List, dict and set comprehensions, sorting with and without a key, slices."""


def keys(count):
    state = 7
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        yield state


def run():
    values = [key % 100_003 for key in keys(105_000)]
    squares = {value: value * value for value in values if value % 2}
    distinct = {value % 1_009 for value in values}
    pairs = [(value % 97, value) for value in values]
    pairs.sort()
    by_second = sorted(pairs, key=lambda pair: -pair[1])
    texts = sorted(str(value) for value in values[:30_000])
    grid = [[row * column for column in range(100)] for row in range(200)]
    flat = [cell for row in grid for cell in row if cell & 1]
    return len(squares), len(distinct), by_second[0], texts[-1], sum(flat), sorted(values)[::-1][:3]

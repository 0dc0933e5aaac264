"""Function calls and generator sums: power iteration on an implied matrix."""


def eval_a(i, j):
    return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)


def times_a(vector):
    size = len(vector)
    return [sum(eval_a(i, j) * vector[j] for j in range(size)) for i in range(size)]


def times_at(vector):
    size = len(vector)
    return [sum(eval_a(j, i) * vector[j] for j in range(size)) for i in range(size)]


def run():
    u = [1.0] * 215
    v = u
    for _ in range(10):
        v = times_at(times_a(u))
        u = times_at(times_a(v))
    vbv = sum(a * b for a, b in zip(u, v))
    vv = sum(b * b for b in v)
    return round((vbv / vv) ** 0.5, 9)

"""Lists, dicts, sets, tuples, and what is made of them."""

import array
import bisect
import collections
import copy
import heapq
import itertools


def lists():
    values = []
    for n in range(6000):
        values.append(n * 31 % 997)
    values.sort()
    values.sort(key=lambda value: -value)
    values.reverse()
    sorted(values, reverse=True), sorted(map(str, values)), sorted((float(v) for v in values))
    values.insert(3, 5), values.extend([1, 2, 3]), values.pop(), values.pop(0), values.remove(5), values.index(996)
    values[10:20] = [0] * 5
    del values[::50]
    flat = [x for row in [values[:100]] * 20 for x in row if x % 2]
    return values.count(3), values[::-1], values + flat, values * 2, 7 in values, [[0] * 10 for _ in range(50)], max(values), list(range(500))


def stacks():
    stack, queue = [], collections.deque(maxlen=200)
    for n in range(5000):
        stack.append(n)
        queue.append(n)
        if n % 3 == 0:
            stack.pop()
            queue.popleft()
    while stack and queue:
        stack.pop()
        queue.rotate(1)
        queue.pop()


def dicts():
    table = {}
    for n in range(5000):
        table[n] = n
        table[f"key {n % 500}"] = table.get(f"key {n % 300}", 0) + 1
        table[n % 70, n % 3] = None
    for key, value in table.items():
        if value is None and key not in table:
            raise AssertionError
    inverted = {value: key for key, value in table.items()}
    merged = {**inverted, "a": 1} | {"b": 2}
    for key in list(table)[:2000]:
        del table[key]
    table.update(merged), table.setdefault("new", []).append(1), table.pop("new", None), table.pop("absent", None)
    try:
        table["absent"]
    except KeyError:
        pass
    return sorted(str(key) for key in table.keys() & {1, 2, 3}), list(table.values()), dict(zip("abc", range(3))), len(table)


def sets():
    evens, threes = set(range(0, 4000, 2)), {n for n in range(4000) if n % 3 == 0}
    for n in range(4000):
        if n in evens and n not in threes:
            evens.discard(n)
        else:
            threes.add(-n)
    return evens | threes, evens & threes, evens - threes, evens ^ threes, evens <= threes, frozenset(evens), sorted(threes)


def tuples():
    total = 0
    pairs = [(n, n * 2, str(n)) for n in range(3000)]
    for index, (first, second, text) in enumerate(pairs):
        total += first - second + len(text) + index
    first, *middle, last = pairs
    a, b = b, a = 1, 2
    return sorted(pairs, key=lambda pair: pair[2]), pairs[5] < pairs[6], hash(pairs[3]), list(zip(*pairs[:50])), (1, 2) + (3,), pairs.index(last)


def helpers():
    heap, ordered = [], []
    for n in range(1500):
        heapq.heappush(heap, n * 7919 % 1009)
        bisect.insort(ordered, n * 31 % 509)
    while heap:
        heapq.heappop(heap)
    heapq.nlargest(5, ordered), bisect.bisect_left(ordered, 100)
    counter = collections.Counter("the quick brown fox" * 30)
    counter.update("abc"), counter.most_common(4)
    groups = collections.defaultdict(list)
    for n in range(3000):
        groups[n % 17].append(n)
    recent = collections.OrderedDict((n, n) for n in range(300))
    recent.move_to_end(3), recent.popitem(last=False)
    chained = collections.ChainMap({"a": 1}, {"b": 2})
    chained["b"], list(chained)
    numbers = array.array("d", range(2000))
    return sum(numbers), copy.deepcopy(groups), copy.copy(counter)


def iterators():
    list(itertools.chain(range(500), "abc")), list(itertools.islice(itertools.count(), 500)), list(itertools.accumulate(range(800)))
    list(itertools.product("abcd", range(20))), list(itertools.permutations(range(5))), list(itertools.combinations(range(12), 3))
    list(itertools.zip_longest(range(300), range(200))), list(itertools.pairwise(range(500))), list(itertools.takewhile(lambda n: n < 300, range(900)))
    list(map(abs, range(-800, 0))), list(filter(None, range(800))), list(reversed(range(500))), sum(n * n for n in range(3000))
    list(enumerate("text" * 100)), any(n > 2900 for n in range(3000)), dict.fromkeys(range(500), 0), list(itertools.batched(range(500), 7))


for work in (lists, stacks, dicts, sets, tuples, helpers, iterators):
    work()
    work()

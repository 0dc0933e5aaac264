"""What programs of a page do: numbers in lists, graphs, grids, tables."""

import heapq


def sieve(limit):
    prime = [True] * limit
    prime[0] = prime[1] = False
    for number in range(2, int(limit**0.5) + 1):
        if prime[number]:
            for multiple in range(number * number, limit, number):
                prime[multiple] = False
    return [number for number, flag in enumerate(prime) if flag]


def shortest_paths(graph, start):
    distances = {start: 0}
    queue = [(0, start)]
    while queue:
        distance, node = heapq.heappop(queue)
        if distance > distances[node]:
            continue
        for neighbour, length in graph[node]:
            through = distance + length
            if through < distances.get(neighbour, 1 << 60):
                distances[neighbour] = through
                heapq.heappush(queue, (through, neighbour))
    return distances


def edit_distance(left, right):
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def multiply(a, b):
    columns = list(zip(*b))
    return [[sum(x * y for x, y in zip(row, column)) for column in columns] for row in a]


def queens(size, row=0, columns=0, left=0, right=0):
    if row == size:
        return 1
    found = 0
    for column in range(size):
        bit = 1 << column
        if not (columns & bit or left & bit or right & bit):
            found += queens(size, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1)
    return found


def life(cells, steps):
    for _ in range(steps):
        neighbours = {}
        for x, y in cells:
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    if dx or dy:
                        key = x + dx, y + dy
                        neighbours[key] = neighbours.get(key, 0) + 1
        cells = {cell for cell, count in neighbours.items() if count == 3 or (count == 2 and cell in cells)}
    return cells


def escape_times(width, height, limit):
    total = 0
    for row in range(height):
        for column in range(width):
            c = complex(3.0 * column / width - 2.0, 2.0 * row / height - 1.0)
            z, steps = 0j, 0
            while abs(z) < 2.0 and steps < limit:
                z = z * z + c
                steps += 1
            total += steps
    return total


def knapsack(items, room):
    best = [0] * (room + 1)
    for weight, value in items:
        for left in range(room, weight - 1, -1):
            if best[left - weight] + value > best[left]:
                best[left] = best[left - weight] + value
    return best[room]


def quicksort(values):
    if len(values) < 2:
        return values
    pivot, rest = values[0], values[1:]
    return quicksort([v for v in rest if v < pivot]) + [pivot] + quicksort([v for v in rest if v >= pivot])


def integrate(function, start, end, steps):
    width = (end - start) / steps
    total = 0.5 * (function(start) + function(end))
    for step in range(1, steps):
        total += function(start + step * width)
    return total * width


def main():
    sieve(60_000)
    graph = {node: [((node * k + 1) % 600, node % 7 + k) for k in (3, 5, 7)] for node in range(600)}
    for start in range(4):
        shortest_paths(graph, start)
    edit_distance("the quick brown fox jumps" * 4, "a lazy dog sleeps all day" * 4)
    matrix = [[(row * column) % 10 + 0.5 for column in range(24)] for row in range(24)]
    multiply(matrix, multiply(matrix, matrix))
    queens(7)
    life({(1, 0), (2, 1), (0, 2), (1, 2), (2, 2), (10, 10), (10, 11), (10, 12)}, 60)
    escape_times(60, 40, 40)
    knapsack([(weight % 23 + 1, weight * 7 % 31) for weight in range(60)], 300)
    quicksort([value * 7919 % 4001 for value in range(2000)])
    integrate(lambda x: x * x - 3.0 * x + 1.0 / (x + 1.0), 0.0, 10.0, 20_000)


main()

"""Integers, list slices and swaps: the most flips of any permutation of eight."""


def fannkuch(size):
    permutation = list(range(size))
    count = list(range(1, size + 1))
    max_flips = 0
    checksum = 0
    sign = 1
    while True:
        first = permutation[0]
        if first:
            work = permutation[:]
            flips = 0
            while first:
                work[: first + 1] = work[first::-1]
                flips += 1
                first = work[0]
            max_flips = max(max_flips, flips)
            checksum += sign * flips
        if sign == 1:
            permutation[0], permutation[1] = permutation[1], permutation[0]
            sign = -1
            continue
        permutation[1], permutation[2] = permutation[2], permutation[1]
        sign = 1
        for index in range(2, size):
            count[index] -= 1
            if count[index]:
                break
            if index == size - 1:
                return checksum, max_flips
            count[index] = index + 1
            permutation.insert(index + 1, permutation.pop(0))


def run():
    return [fannkuch(8) for _ in range(7)][-1]

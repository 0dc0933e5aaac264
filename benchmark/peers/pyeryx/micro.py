"""Times a statement on pyeryx, one call after another, as ``micro()`` does on the JavaScript side."""

import json
import sys
import time

import eryx


def sample(call, seconds, minimum, limit):
    samples = []
    deadline = time.perf_counter() + seconds
    while len(samples) < limit and (len(samples) < minimum or time.perf_counter() < deadline):
        started = time.perf_counter()
        call()
        samples.append((time.perf_counter() - started) * 1000.0)
    return sorted(samples)


def main():
    request = json.load(sys.stdin)
    scope = {"eryx": eryx}
    exec(request["setup"], scope)
    exec(f"def call():\n    {request['statement']}", scope)
    call = scope["call"]
    sample(call, request["seconds"] / 6, 3, request["limit"])
    samples = sample(call, request["seconds"], request["minimum"], request["limit"])
    value, p99 = (samples[min(len(samples) - 1, int(len(samples) * share))] for share in (0.5, 0.99))
    figures = {"value": value, "p99": p99, "min": samples[0], "max": samples[-1], "samples": len(samples)}
    print(json.dumps(figures))


main()

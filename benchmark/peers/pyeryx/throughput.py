"""Fresh executions per second from a pool of threads; ``execute`` lets other threads run."""

import json
import sys
import threading
import time

import eryx


def measure(sandbox, threads, seconds):
    counts = [0] * threads
    started = time.perf_counter()

    def work(index):
        while time.perf_counter() - started < seconds:
            sandbox.execute("pass")
            counts[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - started)


request = json.load(sys.stdin)
sandbox = eryx.Sandbox()
measure(sandbox, 2, request["seconds"] / 6)
rates = {threads: measure(sandbox, threads, request["seconds"]) for threads in request["threads"]}
best = max(rates, key=rates.get)
print(json.dumps({"value": rates[best], "inFlight": best, "rates": rates}))

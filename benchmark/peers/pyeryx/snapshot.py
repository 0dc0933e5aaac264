"""Saves and restores one session's state, so often, and says how large it is."""

import json
import sys
import time

import eryx


def timed(call):
    started = time.perf_counter()
    answer = call()
    return (time.perf_counter() - started) * 1000.0, answer


request = json.load(sys.stdin)
session = eryx.Session()
session.execute(request["setup"])
saved = [timed(session.snapshot_state) for _ in range(request["snapshots"])]
snapshot = saved[-1][1]
other = eryx.Session()
other.execute("pass")
restored = [timed(lambda: other.restore_state(snapshot)) for _ in range(request["restores"])]
other.execute(request["check"])
figures = {
    "bytes": len(snapshot),
    "snapshotMs": [ms for ms, _ in saved],
    "restoreMs": [ms for ms, _ in restored],
}
print(json.dumps(figures))

"""How long endless loops run under a time limit when many start at once. One thread each."""

import json
import sys
import threading
import time

import eryx

request = json.load(sys.stdin)
ends = []
failures = []


def work():
    sandbox = eryx.Sandbox(resource_limits=eryx.ResourceLimits(execution_timeout_ms=request["timeoutMs"]))
    started = time.perf_counter()
    try:
        sandbox.execute("while True: pass")
        failures.append("ended without a timeout")
    except eryx.TimeoutError:
        ends.append((time.perf_counter() - started) * 1000.0)
    except Exception as error:
        failures.append(repr(error))


eryx.Sandbox().execute("pass")
threads = [threading.Thread(target=work, daemon=True) for _ in range(request["count"])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(timeout=30)
if failures or len(ends) != request["count"]:
    sys.exit(f"{len(ends)} of {request['count']} timed out; {failures[:1]}")
print(json.dumps({"endsMs": ends}))

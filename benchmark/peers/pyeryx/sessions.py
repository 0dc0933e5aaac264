"""Many sessions in one process, each of which ran the same code once and is idle since; see children/sessions.js."""

import gc
import json
import os
import re
import sys
import threading
import time

import eryx


def memory():
    with open("/proc/self/smaps_rollup") as file:
        fields = {name: int(size) * 1024 for name, size in re.findall(r"^(\w+): +(\d+) kB", file.read(), re.M)}
    return {"private": fields["Anonymous"] + anonymous_files(), "pss": fields["Pss"], "rss": fields["Rss"]}


def anonymous_files():
    size = 0
    for name in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{name}"
        try:
            if os.readlink(path).startswith("/memfd:"):
                size += os.stat(path).st_blocks * 512
        except OSError:
            pass  # The descriptor of the directory itself is closed by now.
    return size


def memory_at_rest():
    gc.collect()
    time.sleep(0.5)
    return memory()


def start(count, code):
    """One thread per core; ``execute`` lets other threads run."""
    sessions = [eryx.Session() for _ in range(count)]
    threads = os.cpu_count()

    def work(index):
        for session in sessions[index::threads]:
            session.execute(code)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sessions


request = json.load(sys.stdin)
first = start(2, request["code"])
before = memory_at_rest()
started = time.perf_counter()
sessions = start(request["count"], request["code"])
ms = (time.perf_counter() - started) * 1000.0
after = memory_at_rest()
print(json.dumps({"ms": ms, "before": before, "after": after}), flush=True)
# To take a thousand sessions down takes longer than all the rest.
os._exit(0)

"""From before the import to the first result, in this process, which has done nothing else."""

import time

started = time.perf_counter()
import eryx

imported = time.perf_counter()
eryx.Sandbox().execute("pass")
ended = time.perf_counter()

print(f'{{"totalMs": {(ended - started) * 1000}, "withoutImportMs": {(ended - imported) * 1000}}}')

"""Runs one kernel program in a fresh sandbox and passes its JSON line on."""

import json
import sys

import eryx

request = json.load(sys.stdin)
limits = eryx.ResourceLimits(execution_timeout_ms=request["timeoutMs"])
print(eryx.Sandbox(resource_limits=limits).execute(request["source"]).stdout_text)

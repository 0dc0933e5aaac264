"""Runs one program in a fresh sandbox that has a callback `echo(value)`, and passes its JSON line on."""

import json
import sys

import eryx

request = json.load(sys.stdin)
registry = eryx.CallbackRegistry()
registry.callback(name="echo")(lambda value: value)
limits = eryx.ResourceLimits(max_callback_invocations=None)
sandbox = eryx.Sandbox(callbacks=registry, resource_limits=limits)
print(sandbox.execute(request["source"]).stdout_text)

"""Paths of the files that the pyeryx wheel installs."""

import importlib.metadata
import json

files = importlib.metadata.files("pyeryx") or []
paths = [file.locate() for file in files if file.suffix != ".pyc"]
print(json.dumps([str(path) for path in paths if path.is_file()]))

"""Starts the bridge: takes its modules from the first line of standard input, and serves the lines after it.

The command hands this text to `python -c`. docs/reference/bridge.md describes the protocol.
"""

import sys

# `-c` puts the working directory first. A file there must not replace a module that the bridge or the SDK imports.
if sys.path[:1] == [""]:
    del sys.path[0]

import importlib.abc
import importlib.util
import json
import os


class Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports modules from texts, so that the bridge needs no files. Tracebacks find the texts through `get_source`."""

    def __init__(self, texts):
        self.texts = texts

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.texts:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package="." not in fullname)

    def get_source(self, fullname):
        return self.texts[fullname]

    def get_code(self, fullname):
        return self.source_to_code(self.texts[fullname], f"<{fullname}>")


# Standard input and output are duplicated, so that nothing that the user's file prints or reads, and no process that it
# starts, gets between requests and answers.
requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
os.close(nothing)

line = requests.readline()
if line:
    sys.meta_path.insert(0, Sources(json.loads(line)))
    from flyte_bridge.protocol import Bridge

    Bridge(requests, answers).serve()

"""Imports the user's files in the same way as on the machine that runs them, and reads tracebacks of their code."""

from __future__ import annotations

import asyncio
import importlib
import pathlib
import sys
import traceback
from types import ModuleType


class NotImportable(Exception):
    """A file that cannot be imported, with the traceback of its own code."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


def load(file: str, root: pathlib.Path) -> ModuleType:
    """Imports a file below `root`, by the name that it has there.

    Raises NotImportable saying why it cannot be imported.
    """
    path = pathlib.Path(file).resolve()
    if not path.is_file():
        raise NotImportable(f"the file {file} does not exist")
    if not path.is_relative_to(root):
        raise NotImportable(f"{file} is not below the root {root}")
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    # Names such as 01_basic are not identifiers, but can be imported by their text. A dot would separate packages.
    wrong = [part for part in parts if "." in part]
    if not parts or wrong or path.suffix != ".py":
        why = f"{wrong[0]} is" if wrong else "it has"
        raise NotImportable(f"{file} cannot be imported: {why} no name of a Python module")
    # The file's own directory comes first, as when it is run as a script.
    for entry in (str(root), str(path.parent)):
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path.insert(0, entry)
    name = ".".join(parts)
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        cause = str(error) if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
        raise NotImportable(f"cannot import {file}: {cause}", own_traceback(error)) from error
    if pathlib.Path(module.__file__ or "").resolve() != path:
        raise NotImportable(
            f"{file} cannot be imported: the name {name} is taken by {module.__file__}; rename the file"
        )
    return module


def own_traceback(error: BaseException) -> str:
    """The traceback without the frames of the SDK, the bridge and asyncio; empty if there are no others."""
    sdk = sys.modules.get("flyte")
    libraries = [module.__file__ for module in (sdk, asyncio, importlib) if module and module.__file__]
    ours = (*(str(pathlib.Path(file).parent) + "/" for file in libraries), "<")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.replace("\\", "/").startswith(ours)
        and pathlib.Path(frame.filename).name != "threading.py"
    ]
    if not frames and not isinstance(error, SyntaxError):
        return ""
    head = ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    return "".join([*head, *traceback.format_exception_only(type(error), error)]).rstrip()

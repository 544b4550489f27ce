"""Imports the file of tasks in the same way as on the machine that runs them."""

from __future__ import annotations

import importlib
import pathlib
import sys
from types import ModuleType

from flyte._environment import Environment, environments


def load(
    file: str | pathlib.Path, root: str | pathlib.Path | None = None
) -> tuple[ModuleType, list[Environment]]:
    """Imports a file below `root` (by default its own directory), and returns its module and the environments.

    Raises ModuleLoadError saying why it cannot be imported.
    """
    from flyte._runtime.convert import own_traceback
    from flyte.errors import ModuleLoadError

    path = pathlib.Path(file).resolve()
    base = pathlib.Path(root).resolve() if root is not None else path.parent
    if not path.is_file():
        raise ModuleLoadError(f"the file {file} does not exist")
    if not path.is_relative_to(base):
        raise ModuleLoadError(f"{file} is not below the root {base}")
    parts = list(path.relative_to(base).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    wrong = [part for part in parts if not part.isidentifier()]
    if wrong or path.suffix != ".py":
        raise ModuleLoadError(
            f"{file} cannot be imported: {wrong[0] + ' is' if wrong else 'it has'} no name of a Python module"
        )
    # The script's own directory comes first, as when it is run.
    for entry in (str(base), str(path.parent)):
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path.insert(0, entry)
    name = ".".join(parts)
    try:
        module = importlib.import_module(name)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        lines = "".join(own_traceback(error)).rstrip()
        cause = f"{type(error).__name__}: {error}" if not isinstance(error, SyntaxError) else str(error)
        raise ModuleLoadError(f"cannot import {file}: {cause}" + (f"\n{lines}" if lines else "")) from error
    if pathlib.Path(module.__file__ or "").resolve() != path:
        raise ModuleLoadError(
            f"{file} cannot be imported: the name {name} is taken by {module.__file__}; rename the file"
        )
    return module, environments()

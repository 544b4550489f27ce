"""The name of a function's module after its code is unpacked."""

from __future__ import annotations

import inspect
import pathlib
import sys
from collections.abc import Callable
from typing import Any


def module_of(function: Callable[..., Any], root: pathlib.Path) -> str:
    """The module's name as seen from `root`, the directory that is bundled.

    Raises DeploymentError if its file is not below `root` and not in an installed package.
    """
    from flyte.errors import DeploymentError

    module = inspect.getmodule(function)
    file = getattr(module, "__file__", None)
    name = getattr(function, "__name__", repr(function))
    if module is None or file is None:
        raise DeploymentError(f"{name} is in no file, so that it cannot be run elsewhere: write it into one")
    path = pathlib.Path(file).resolve()
    if {"site-packages", "dist-packages"} & set(path.parts):
        return module.__name__
    try:
        relative = path.relative_to(pathlib.Path(root).resolve())
    except ValueError:
        raise DeploymentError(
            f"{name} is in {path}, which is not below {root}: start from a directory above it, or give it as root"
        ) from None
    parts = relative.with_suffix("").parts
    if parts and parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def local_paths(root: pathlib.Path) -> str:
    """The directories below `root` that modules are looked for in, for the environment variable `_F_SYS_PATH`."""
    base = pathlib.Path(root).resolve()
    found = []
    for entry in sys.path:
        path = pathlib.Path(entry or ".").resolve()
        if path.is_relative_to(base) and "site-packages" not in path.parts and path.is_dir():
            found.append(f"./{path.relative_to(base)}")
    return ":".join(dict.fromkeys(found))


def take_local_paths(value: str | None) -> None:
    """Looks for modules in the directories that `local_paths` named."""
    for entry in (value or "").split(":"):
        if entry and entry not in sys.path:
            sys.path.insert(0, entry)

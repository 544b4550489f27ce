"""Fetches, unpacks and imports a task's code on the machine that runs it."""

from __future__ import annotations

import gzip
import importlib
import os
import pathlib
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from typing import Any

from flyte import storage
from flyte._task import Task


def unpack(url: str, destination: str) -> None:
    """Fetches an archive and unpacks it into a directory, over what is there.

    Raises StorageError or FileNotFoundError if it cannot be fetched, DeploymentError if it is not an archive or has a path that
    leads out of the directory.
    """
    from flyte.errors import DeploymentError

    target = pathlib.Path(destination or ".").resolve()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flyte-") as directory:
        archive = storage.get_sync(url, pathlib.Path(directory, "code.tar.gz"))
        try:
            with tarfile.open(archive) as files:
                members = [_checked(member, target) for member in files.getmembers()]
                for member in members:
                    _held(member, target)
                    # Read-only files of an earlier attempt are replaced, not written to.
                    place = target / member.name
                    if not member.isdir() and (place.is_file() or place.is_symlink()):
                        place.unlink()
                    files.extract(member, target, **_FILTER)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
            raise DeploymentError(f"the code at {storage.shown(url)} cannot be unpacked: {error}") from error


# Newer Pythons check members themselves as well.
_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def _checked(member: tarfile.TarInfo, target: pathlib.Path) -> tarfile.TarInfo:
    from flyte.errors import DeploymentError

    leads_to = [target / member.name]
    if member.issym():
        leads_to.append((target / member.name).parent / member.linkname)
    elif member.islnk():
        leads_to.append(target / member.linkname)
    elif not (member.isfile() or member.isdir()):
        raise DeploymentError(f"the code has {member.name}, which is not a file or a directory")
    for path in leads_to:
        if not pathlib.Path(os.path.normpath(path)).is_relative_to(target):
            raise DeploymentError(f"the code has {member.name}, which leads out of its directory")
    return member


def _held(member: tarfile.TarInfo, target: pathlib.Path) -> None:
    """Refuses a member that the links that are there by now would lead out of the directory."""
    from flyte.errors import DeploymentError

    place = target / member.name
    leads_to = [place if member.isdir() else place.parent]
    if member.issym():
        leads_to.append(place.parent / member.linkname)
    elif member.islnk():
        leads_to.append(target / member.linkname)
    try:
        outside = any(not path.resolve().is_relative_to(target) for path in leads_to)
    except (OSError, RuntimeError, ValueError):
        # Links that lead in a circle lead nowhere.
        outside = True
    if outside:
        raise DeploymentError(f"the code has {member.name}, which leads out of its directory")


def load_pickled(url: str, destination: str) -> Task[Any, Any]:
    """The task in a pickle. Raises DeploymentError if it cannot be read."""
    from flyte.errors import DeploymentError
    from flyte.types._pickle import loads

    data = storage.read_sync(url)
    try:
        task = loads(gzip.decompress(data))
    except Exception as error:
        raise DeploymentError(f"the task at {storage.shown(url)} cannot be read: {error}") from error
    if not isinstance(task, Task):
        raise DeploymentError(
            f"{storage.shown(url)} does not contain a task of this package, but {type(task).__name__}"
        )
    return task


def load_task(resolver: str, arguments: Sequence[str]) -> Task[Any, Any]:
    """The task that a resolver finds by these arguments.

    Raises DeploymentError if the resolver, module or task does not exist. An exception of the module is raised unchanged.
    """
    from flyte.errors import DeploymentError

    module, _, name = resolver.rpartition(".")
    try:
        finder = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise DeploymentError(f"cannot find the task: unknown resolver {resolver} ({error})") from error
    wanted = " ".join(arguments)
    try:
        task = finder.load_task(list(arguments))
    except ModuleNotFoundError as error:
        # One that the task's own module imports is another matter: it is not installed.
        files = sorted(path.name for path in pathlib.Path.cwd().iterdir())[:20]
        raise DeploymentError(
            f"the task ({wanted}) cannot be imported: {error}. In {pathlib.Path.cwd()} there are {', '.join(files) or 'no files'}; "
            f"Python is {sys.executable}"
        ) from error
    except AttributeError as error:
        raise DeploymentError(f"the task ({wanted}) cannot be found: {error}") from error
    if not isinstance(task, Task):
        raise DeploymentError(f"{wanted} is not a task, but {type(task).__name__}")
    return task

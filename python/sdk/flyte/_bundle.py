"""The code that goes along with a run or a deployment: which files, packed by the writer of the `flyte` command, uploaded once."""

from __future__ import annotations

import logging
import pathlib
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from flyte._environment import Environment
from flyte.models import CodeBundle
from flyte_auth._native import CallError
from flyte_auth._native import pack as _pack

CopyStyle = Literal["loaded_modules", "all", "none"]


class Packed(NamedTuple):
    """Files in an archive."""

    archive: bytes
    """A tar archive, compressed by gzip: the same bytes for the same files."""
    version: str
    """A hash of the archive."""
    files: list[str]
    """Paths below the root, sorted."""


def pack(root: pathlib.Path, environments: Iterable[Environment], style: CopyStyle) -> Packed:
    """Packs files below `root`: those of imported modules, or all that are not ignored; and what environments include.

    Of all, what looks like a secret and links that lead out of `root` are left out; the log names them.

    Raises:
        DeploymentError: There are no files, they are too large or cannot be read, or an included path does not exist or is not below
            `root`.
    """
    from flyte.errors import DeploymentError

    root = root.resolve()
    named = included(root, environments)
    if style == "loaded_modules":
        named |= _loaded(root)
    try:
        archive, version, files, kept_back = _pack(str(root), style == "all", sorted(map(str, named)))
    except CallError as error:
        _, message, hint, _ = error.args
        raise DeploymentError(f"{message}. {hint}" if hint else message) from None
    if kept_back:
        logging.getLogger("flyte").warning(
            "Left out of the code, as secrets or as links that lead out of %s: %s. If a task needs them, name them in the include of its "
            "environment.",
            root,
            ", ".join(kept_back),
        )
    return Packed(archive, version, files)


def _loaded(root: pathlib.Path) -> set[pathlib.Path]:
    installed = {
        pathlib.Path(path).resolve()
        for path in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())
    }
    installed = {path for path in installed if path != root and not root.is_relative_to(path)}
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = pathlib.Path(file).resolve()
        if path.suffix != ".py" or not path.is_relative_to(root) or not path.is_file():
            continue
        if {"site-packages", "dist-packages"} & set(path.parts) or any(map(path.is_relative_to, installed)):
            continue
        found.add(path)
    return found


def included(root: pathlib.Path, environments: Iterable[Environment]) -> set[pathlib.Path]:
    """The files below `root` that environments include.

    Raises:
        DeploymentError: An included path does not exist, or is not below `root`.
    """
    return {file for environment in environments for file in _included(root.resolve(), environment)}


def _included(root: pathlib.Path, environment: Environment) -> set[pathlib.Path]:
    from flyte.errors import DeploymentError

    base = pathlib.Path(environment.declared_in).parent if environment.declared_in else root
    found: set[pathlib.Path] = set()
    for include in environment.include:
        path = pathlib.Path(include)
        path = path if path.is_absolute() else base / path
        matches = [path] if path.exists() else [pathlib.Path(one) for one in _glob(path)]
        if not matches:
            raise DeploymentError(
                f"the environment {environment.name} includes {include}, but {path} does not exist"
            )
        for match in matches:
            files = match.rglob("*") if match.is_dir() else [match]
            found |= {file.resolve() for file in files if file.is_file() and "__pycache__" not in file.parts}
    outside = [file for file in found if not file.is_relative_to(root)]
    if outside:
        raise DeploymentError(
            f"the environment {environment.name} includes {outside[0]}, which is not below {root}"
        )
    return found


def _glob(path: pathlib.Path) -> list[str]:
    import glob

    return glob.glob(str(path), recursive=True)


async def bundle(
    root: pathlib.Path, environments: Sequence[Environment], style: CopyStyle, where: Mapping[str, Any]
) -> CodeBundle:
    """Packs the code and uploads it.

    Raises:
        DeploymentError: The code cannot be packed.
    """
    from flyte._upload import upload

    packed = pack(root, environments, style)
    url = await upload(packed.archive, f"{packed.version}.tar.gz", where)
    return CodeBundle(computed_version=packed.version, tgz=url)

"""The code that goes along with a run or a deployment: which files, packed always alike, uploaded once."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import logging
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from flyte._environment import Environment
from flyte.models import CodeBundle

# A directory, and the patterns of what in it stays here.
_Ignoring = tuple[pathlib.Path, list[str]]
CopyStyle = Literal["loaded_modules", "all", "none"]
# What nobody wants to run elsewhere.
_LEFT_OUT = frozenset(
    ".git .hg .svn .venv venv __pycache__ node_modules .mypy_cache .pytest_cache .ruff_cache .idea .tox .nox .flyte .eggs".split()
)
# What opens doors: it goes along where an environment includes it by name alone.
_SECRETS = (".env", ".env.*", "*.pem", "*.key", ".aws", ".ssh", ".netrc")
_LARGEST = 200 * 1024 * 1024


def chosen(root: pathlib.Path, environments: Iterable[Environment], style: CopyStyle) -> list[pathlib.Path]:
    """The files below `root` that go along: those of imported modules, or all that are not ignored; and what environments include.

    Of all, what looks like a secret stays here, and links that lead out of `root` do; the log names them.

    Raises DeploymentError for an included path that is not there, or not below `root`.
    """
    root = root.resolve()
    found = set(_loaded(root) if style == "loaded_modules" else _all(root) if style == "all" else ())
    for environment in environments:
        found |= _included(root, environment)
    return sorted(found)


def _loaded(root: pathlib.Path) -> list[pathlib.Path]:
    installed = {
        pathlib.Path(path).resolve()
        for path in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())
    }
    installed = {path for path in installed if path != root and not root.is_relative_to(path)}
    found = []
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = pathlib.Path(file).resolve()
        if path.suffix != ".py" or not path.is_relative_to(root) or not path.is_file():
            continue
        if {"site-packages", "dist-packages"} & set(path.parts) or any(map(path.is_relative_to, installed)):
            continue
        found.append(path)
    return found


def _all(root: pathlib.Path) -> list[pathlib.Path]:
    ignored = _patterns(root / ".flyteignore")
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            check=True,
        ).stdout
        paths = [root / name.decode() for name in listed.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        # Not a checkout, or one without git at hand.
        paths = list(_walk(root, _above(root)))
    found = []
    kept_back = []
    for path in paths:
        relative = path.relative_to(root)
        if not path.is_file() or _LEFT_OUT & set(relative.parts) or _is_ignored(relative, ignored):
            continue
        held = path.resolve()
        if _is_secret(relative) or not held.is_relative_to(root) or _is_secret(held.relative_to(root)):
            kept_back.append(relative.as_posix())
        else:
            found.append(path)
    if kept_back:
        logging.getLogger("flyte").warning(
            "Left out of the code, as secrets or as links that lead out of %s: %s. What a task needs of them, name in the include of its "
            "environment.",
            root,
            ", ".join(sorted(kept_back)),
        )
    return found


def _is_secret(path: pathlib.Path) -> bool:
    return any(fnmatch.fnmatchcase(part.lower(), pattern) for part in path.parts for pattern in _SECRETS)


def _walk(directory: pathlib.Path, above: Sequence[_Ignoring] = ()) -> Iterable[pathlib.Path]:
    """The files below a directory but those that a `.gitignore` of it, of one between, or of one above names."""
    patterns = _gitignore(directory)
    rules = [*above, (directory, patterns)] if patterns else above
    for path in directory.iterdir():
        # What is in an ignored directory stays ignored.
        if any(_is_ignored(path.relative_to(base), patterns) for base, patterns in rules):
            continue
        if path.is_symlink() or not path.is_dir():
            yield path
        elif path.name not in _LEFT_OUT:
            yield from _walk(path, rules)


def _above(root: pathlib.Path) -> list[_Ignoring]:
    """What the `.gitignore` of the directories above say, where `root` is in a checkout."""
    checkout = next((one for one in (root, *root.parents) if (one / ".git").exists()), root)
    between = [one for one in reversed(root.parents) if one.is_relative_to(checkout)]
    return [(one, _gitignore(one)) for one in between]


def _gitignore(directory: pathlib.Path) -> list[str]:
    patterns = []
    for one in _patterns(directory / ".gitignore"):
        patterns.append(one)
        # At any depth is at none as well.
        if one.lstrip("!").startswith("**/"):
            patterns.append(one.replace("**/", "", 1))
    return patterns


def _patterns(file: pathlib.Path) -> list[str]:
    lines = file.read_text().splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _is_ignored(path: pathlib.Path, patterns: Sequence[str]) -> bool:
    ignored = False
    names = [path.as_posix(), *(parent.as_posix() for parent in path.parents if parent != pathlib.Path("."))]
    for pattern in patterns:
        wanted = pattern.removeprefix("!").rstrip("/")
        anchored = "/" in wanted
        wanted = wanted.lstrip("/")
        if any(fnmatch.fnmatch(name if anchored else name.rsplit("/", 1)[-1], wanted) for name in names):
            ignored = not pattern.startswith("!")
    return ignored


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
                f"the environment {environment.name} includes {include}, and there is no {path}"
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


def pack(root: pathlib.Path, files: Sequence[pathlib.Path]) -> tuple[bytes, str]:
    """The files in an archive, the same bytes for the same files, and the version that they are: a hash of their paths and contents.

    Raises DeploymentError where they are too many bytes.
    """
    from flyte.errors import DeploymentError

    root = root.resolve()
    digest = hashlib.sha256()
    size = 0
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(files):
                data = path.read_bytes()
                size += len(data)
                if size > _LARGEST:
                    raise DeploymentError(
                        f"the files below {root} have more than {_LARGEST >> 20} MiB: name what is not needed in .flyteignore"
                    )
                name = path.relative_to(root).as_posix()
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                archive.addfile(entry, io.BytesIO(data))
                digest.update(f"{name}\0{entry.mode}\0{len(data)}\0".encode() + data)
    return buffer.getvalue(), digest.hexdigest()[:32]


async def bundle(
    root: pathlib.Path, environments: Sequence[Environment], style: CopyStyle, where: Mapping[str, Any]
) -> CodeBundle:
    """Packs the code and uploads it. Raises DeploymentError where there is nothing to pack."""
    from flyte._upload import upload
    from flyte.errors import DeploymentError

    files = chosen(root, environments, style)
    if not files:
        raise DeploymentError(
            f"there are no files below {root} that go along: start from the directory of your code, or give root_dir to flyte.init"
        )
    data, version = pack(root, files)
    url = await upload(data, "code.tar.gz", where)
    return CodeBundle(computed_version=version, tgz=url)

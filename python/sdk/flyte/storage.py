"""Reading and writing stored data by its URL: files of this machine, signed HTTPS URLs, and all that fsspec supports, if it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO, Any

# Seconds without a byte until a download fails.
_PATIENCE = 60

# Schemes of this machine's files. `objects` is what flyte-server calls its own, where the published runtime is to copy to them.
_LOCAL = ("file", "objects")


class StorageError(OSError):
    """Stored data cannot be read or written. The message names the URL without its query, which may hold a signature."""


def is_remote(url: str) -> bool:
    """Whether it is somewhere else than in this machine's files."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme not in _LOCAL


def is_object(url: str) -> bool:
    """Whether it is a file of flyte-server's own: stored already."""
    return url.startswith("objects://")


def local_path(url: str) -> pathlib.Path:
    """The file that a `file://` URL, an `objects://` URL or a plain path names.

    `objects://PROJECT/DOMAIN/PATH` is a file of flyte-server, which passes the directory to its tasks. Raises StorageError elsewhere.
    """
    if is_object(url):
        return _object_path(url)
    if url.startswith("file://"):
        return pathlib.Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    return pathlib.Path(url)


def _object_path(url: str) -> pathlib.Path:
    path = url.removeprefix("objects://")
    try:
        directories = json.loads(os.environ.get("FLYTE_OBJECTS", "[]"))
    except ValueError:
        directories = []
    if not path.startswith("/"):
        if not directories:
            raise StorageError(
                f"{url} is a file of the server's machine: only tasks that run there can open it"
            )
        return pathlib.Path(directories[0], path)
    # Values of runs from before the server's directory was moved.
    for former in directories[1:]:
        if path.startswith(f"{former}/"):
            return pathlib.Path(directories[0] + path.removeprefix(former))
    return pathlib.Path(path)


def join(url: str, *parts: str) -> str:
    """The URL of something below `url`."""
    return "/".join([url.rstrip("/"), *(part.strip("/") for part in parts)])


def shown(url: str) -> str:
    """The URL as it may be printed: without its query."""
    return url.partition("?")[0] if is_remote(url) else url


def _filesystem(url: str) -> Any:
    try:
        import fsspec
    except ImportError:
        scheme = url.partition("://")[0]
        raise StorageError(
            f"{shown(url)} cannot be reached: install fsspec and its driver for {scheme}:// (for s3:// that is s3fs)"
        ) from None
    try:
        return fsspec.core.url_to_fs(url)[0]
    except (ImportError, ValueError) as error:
        raise StorageError(f"{shown(url)} cannot be reached: {error}") from error


def _is_http(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def tls() -> ssl.SSLContext:
    """Trusts the system's authorities, and the one that the configuration names."""
    from flyte._context import trusted_authority

    context = ssl.create_default_context()
    authority = trusted_authority()
    if authority:
        context.load_verify_locations(authority)
    return context


def _http(url: str) -> Any:
    try:
        return urllib.request.urlopen(url, timeout=_PATIENCE, context=tls())
    except urllib.error.HTTPError as error:
        # The answer's body may say more, and is not ours to show.
        error.close()
        raise StorageError(
            f"{shown(url)} cannot be read: the server answered {error.code} {error.reason}"
        ) from None
    except urllib.error.URLError as error:
        raise StorageError(f"{shown(url)} cannot be read: {error.reason}") from None


def read_sync(url: str, at_most: int = -1) -> bytes:
    """What is stored at `url`.

    Raises FileNotFoundError if it does not exist, StorageError if it cannot be reached or has more than `at_most` bytes (-1: any
    number).
    """
    with open_sync(url, "rb") as file:
        data = file.read() if at_most < 0 else file.read(at_most + 1)
    if 0 <= at_most < len(data):
        raise StorageError(f"{shown(url)} has more than the {at_most} bytes that are taken")
    return bytes(data)


def write_sync(url: str, data: bytes) -> None:
    """Stores `data` at `url` completely or not at all. Raises StorageError if that fails."""
    if _is_http(url):
        raise StorageError(f"{shown(url)} is written by uploading, not by its URL")
    if is_remote(url):
        with open_sync(url, "wb") as file:
            file.write(data)
        return
    path = local_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def open_sync(url: str, mode: str = "rb", **options: Any) -> Iterator[IO[Any]]:
    """The stored data as an open file.

    Raises FileNotFoundError if it does not exist, StorageError if it cannot be reached.
    """
    if _is_http(url):
        if mode not in ("rb", "r", "rt"):
            raise StorageError(f"{shown(url)} can only be read")
        with _http(url) as answer:
            if "b" in mode:
                yield answer
            else:
                import io

                yield io.TextIOWrapper(answer)
        return
    if is_remote(url):
        with _filesystem(url).open(url, mode, **options) as file:
            yield file
        return
    path = local_path(url)
    if any(letter in mode for letter in "wax+"):
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as file:
        yield file


def exists_sync(url: str) -> bool:
    """Whether something is stored there."""
    if _is_http(url):
        try:
            with _http(url):
                return True
        except StorageError:
            return False
    if is_remote(url):
        return bool(_filesystem(url).exists(url))
    return local_path(url).exists()


def get_sync(url: str, destination: str | os.PathLike[str], recursive: bool = False) -> pathlib.Path:
    """Copies what is stored at `url` to a file (or, `recursive`, a directory) of this machine, and returns its path.

    Raises StorageError, before anything is copied, if a name would lead out of the directory.
    """
    target = pathlib.Path(destination)
    if recursive:
        target.mkdir(parents=True, exist_ok=True)
        root = pathlib.Path(os.path.abspath(target))
        names = list_sync(url)
        for name in names:
            # Names in a bucket may be anything.
            place = pathlib.Path(os.path.abspath(root / name))
            if place == root or not place.is_relative_to(root):
                raise StorageError(f"{shown(url)} has {name!r}, which leads out of the directory")
        for name in names:
            get_sync(join(url, name), target / name)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_sync(url, "rb") as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    return target


def put_sync(source: str | os.PathLike[str], url: str, recursive: bool = False) -> str:
    """Copies a file (or, `recursive`, a directory) of this machine to `url`, and returns that."""
    origin = pathlib.Path(source)
    if recursive:
        for path in sorted(origin.rglob("*")):
            if path.is_file():
                put_sync(path, join(url, path.relative_to(origin).as_posix()))
        if not is_remote(url):
            local_path(url).mkdir(parents=True, exist_ok=True)
        return url
    with origin.open("rb") as file, open_sync(url, "wb") as target:
        shutil.copyfileobj(file, target, 1 << 20)
    return url


def list_sync(url: str, recursive: bool = True) -> list[str]:
    """The names of the files below `url`, relative to it, in order."""
    if _is_http(url):
        raise StorageError(f"{shown(url)} cannot be listed")
    if not is_remote(url):
        root = local_path(url)
        found = root.rglob("*") if recursive else root.glob("*")
        return sorted(path.relative_to(root).as_posix() for path in found if path.is_file())
    filesystem = _filesystem(url)
    root_path = filesystem._strip_protocol(url).rstrip("/")
    names = filesystem.find(root_path, maxdepth=None if recursive else 1)
    return sorted(name[len(root_path) :].lstrip("/") for name in names)


def new_url(name: str | None = None) -> str:
    """An unused URL in the running task's data; outside of tasks, in a temporary directory."""
    from flyte._context import raw_data_path

    base = raw_data_path()
    if base is None:
        base = tempfile.mkdtemp(prefix="flyte-")
    unique = secrets.token_hex(16)
    return join(base, unique, name) if name else join(base, unique)


async def read(url: str, at_most: int = -1) -> bytes:
    """`read_sync`, without keeping the event loop waiting."""
    return await asyncio.to_thread(read_sync, url, at_most)


async def write(url: str, data: bytes) -> None:
    """`write_sync`, without keeping the event loop waiting."""
    await asyncio.to_thread(write_sync, url, data)


async def exists(url: str) -> bool:
    """`exists_sync`, without keeping the event loop waiting."""
    return await asyncio.to_thread(exists_sync, url)


async def get(url: str, destination: str | os.PathLike[str], recursive: bool = False) -> pathlib.Path:
    """`get_sync`, without keeping the event loop waiting."""
    return await asyncio.to_thread(get_sync, url, destination, recursive)


async def put(source: str | os.PathLike[str], url: str, recursive: bool = False) -> str:
    """`put_sync`, without keeping the event loop waiting."""
    return await asyncio.to_thread(put_sync, source, url, recursive)


async def put_new(data: bytes, name: str) -> str:
    """Stores data of the running task, or of the program that starts one, and returns its URL."""
    from flyte._context import uploader

    upload = uploader()
    if upload is not None:
        return await upload(data, name)
    url = new_url(name)
    await write(url, data)
    return url

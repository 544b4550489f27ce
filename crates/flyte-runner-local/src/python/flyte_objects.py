"""An fsspec file system for the objects of flyte-server: `objects://PROJECT/DOMAIN/PATH`.

The URL does not contain the directory of the objects, so it remains valid if the server's data are moved. FLYTE_OBJECTS lists
the directory and its former locations. Values of earlier runs may contain those:
`objects:///former/directory/PROJECT/DOMAIN/PATH`.

If the raw data of a task are in the local file system, the published runtime does not copy the files that the task returns.
The value is then a path in the task's own directory or in a temporary directory, which is removed with the task. With its own
scheme, the same directory is an object store, and the runtime copies files to it. fsspec finds this module by the entry point
next to it. The module needs only fsspec.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from typing import Any

from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem

_SCHEME = "objects://"


def _directories() -> list[str]:
    try:
        found = json.loads(os.environ.get("FLYTE_OBJECTS", "[]"))
    except ValueError:
        found = []
    return [str(one) for one in found] if isinstance(found, list) else []


def _path(url: str) -> str:
    """Converts a URL to the path of the file. A path does not change."""
    path = url.removeprefix(_SCHEME)
    directories = _directories()
    if not directories:
        return path
    if not path.startswith("/"):
        return f"{directories[0]}/{path}"
    for former in directories[1:]:
        if path.startswith(former + "/"):
            return directories[0] + path.removeprefix(former)
    return path


def _url(path: str) -> str:
    for directory in _directories():
        if path.startswith(directory + "/"):
            return _SCHEME + path.removeprefix(directory + "/")
    return _SCHEME + path


class ObjectsFileSystem(AsyncFileSystem):
    """Reads and writes files in threads, so that the event loop of the task is not blocked."""

    protocol = "objects"
    root_marker = "/"

    def __init__(self, asynchronous: bool = False, loop: Any = None, **_: Any) -> None:
        # Other options of object stores, for example retries, have no effect here.
        super().__init__(asynchronous=asynchronous, loop=loop)
        self._files = LocalFileSystem(auto_mkdir=True)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return _path(os.fspath(path)).rstrip("/") or "/"

    def unstrip_protocol(self, name: str) -> str:
        return name if name.startswith(_SCHEME) else _url(name)

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self._files.info, self._strip_protocol(path))

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return await asyncio.to_thread(self._files.ls, self._strip_protocol(path), detail=detail)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return await asyncio.to_thread(self._files.cat_file, self._strip_protocol(path), start, end)

    async def _pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        await asyncio.to_thread(self._files.pipe_file, self._strip_protocol(path), value)

    async def _put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        await asyncio.to_thread(_copy, lpath, self._strip_protocol(rpath))

    async def _get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        await asyncio.to_thread(_copy, self._strip_protocol(rpath), lpath)

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        await asyncio.to_thread(_copy, self._strip_protocol(path1), self._strip_protocol(path2))

    async def _rm_file(self, path: str, **_: Any) -> None:
        await asyncio.to_thread(os.remove, self._strip_protocol(path))

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        os.makedirs(self._strip_protocol(path), exist_ok=exist_ok)

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        os.makedirs(self._strip_protocol(path), exist_ok=True)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return self._files.open(self._strip_protocol(path), mode)

    async def open_async(self, path: str, mode: str = "rb", **_: Any) -> _Handle:
        return _Handle(await asyncio.to_thread(self._files.open, self._strip_protocol(path), mode))


class _Handle:
    """An open file with asynchronous methods, as in other object stores."""

    def __init__(self, file: Any) -> None:
        self._file = file

    async def read(self, length: int = -1) -> bytes:
        return await asyncio.to_thread(self._file.read, length)

    async def write(self, data: bytes) -> int:
        return await asyncio.to_thread(self._file.write, data)

    async def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    async def tell(self) -> int:
        return self._file.tell()

    async def flush(self) -> None:
        await asyncio.to_thread(self._file.flush)

    async def close(self) -> None:
        await asyncio.to_thread(self._file.close)

    async def __aenter__(self) -> _Handle:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _copy(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)

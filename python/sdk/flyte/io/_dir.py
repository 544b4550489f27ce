"""Directories."""

from __future__ import annotations

import asyncio
import os
import pathlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar, TypeVar

from flyte import storage
from flyte.io._file import File, ReferenceTransformer
from flyte.io._reference import Reference
from flyte.types._engine import TypeEngine

T = TypeVar("T")


class Dir(Reference[T]):
    """A directory that tasks hand on: its URL, not the files in it. Methods without `_sync` are awaited."""

    _directory: ClassVar[bool] = True

    @classmethod
    def new_remote(cls, dir_name: str | None = None, hash: str | None = None) -> Dir[T]:
        """A directory that is not there yet, among the data of the running task."""
        return cls(path=storage.new_url(dir_name), hash=hash)

    @classmethod
    def from_existing_remote(cls, remote_path: str, dir_cache_key: str | None = None) -> Dir[T]:
        """A stored directory. `dir_cache_key` represents its content in cache keys."""
        return cls(path=remote_path, hash=dir_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | os.PathLike[str],
        remote_destination: str | None = None,
        dir_cache_key: str | None = None,
    ) -> Dir[T]:
        """A directory of this machine.

        In a task, it is stored among the task's data, or at `remote_destination`. Outside of a task, it is uploaded only when a run
        elsewhere needs it.

        Raises FileNotFoundError if there is none.
        """
        from flyte._context import raw_data_path

        path = pathlib.Path(local_path)
        if not path.is_dir():
            raise FileNotFoundError(f"the directory {path} does not exist")
        if remote_destination is None and raw_data_path() is None:
            return cls(path=str(path.absolute()), name=path.name, hash=dir_cache_key)
        url = remote_destination or storage.new_url(path.name)
        return cls(path=storage.put_sync(path, url, recursive=True), name=path.name, hash=dir_cache_key)

    @classmethod
    async def from_local(
        cls,
        local_path: str | os.PathLike[str],
        remote_destination: str | None = None,
        dir_cache_key: str | None = None,
    ) -> Dir[T]:
        """`from_local_sync`, awaited."""
        return await asyncio.to_thread(cls.from_local_sync, local_path, remote_destination, dir_cache_key)

    def walk_sync(
        self, recursive: bool = True, file_pattern: str = "*", max_depth: int | None = None
    ) -> Iterator[File[Any]]:
        """The files in it, in the order of their names; `max_depth` counts directories below this one."""
        for name in storage.list_sync(self.path, recursive):
            pure = pathlib.PurePosixPath(name)
            if max_depth is not None and len(pure.parts) > max_depth:
                continue
            if pure.match(file_pattern):
                file: File[Any] = File(path=storage.join(self.path, name), name=pure.name)
                # What is in another's directory is another's.
                yield file._as_settled() if self._settled else file

    async def walk(self, recursive: bool = True, max_depth: int | None = None) -> AsyncIterator[File[Any]]:
        """`walk_sync`, awaited."""
        for file in await asyncio.to_thread(lambda: list(self.walk_sync(recursive, max_depth=max_depth))):
            yield file

    def list_files_sync(self) -> list[File[Any]]:
        """The files directly in it."""
        return list(self.walk_sync(recursive=False))

    async def list_files(self) -> list[File[Any]]:
        """`list_files_sync`, awaited."""
        return await asyncio.to_thread(self.list_files_sync)

    def get_file_sync(self, file_name: str) -> File[Any] | None:
        """The file of this name in it, or None."""
        file: File[Any] = File(path=storage.join(self.path, file_name))
        if not file.exists_sync():
            return None
        return file._as_settled() if self._settled else file

    async def get_file(self, file_name: str) -> File[Any] | None:
        """`get_file_sync`, awaited."""
        return await asyncio.to_thread(self.get_file_sync, file_name)

    def download_sync(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """Brings all files to this machine, to `local_path`, and returns the directory's path.

        A local directory is not copied, unless a path is given.
        """
        if not storage.is_remote(self.path) and local_path is None:
            return str(storage.local_path(self.path))
        target = tempfile.mkdtemp(prefix="flyte-") if local_path is None else os.fspath(local_path)
        return str(storage.get_sync(self.path, target, recursive=True))

    async def download(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """`download_sync`, awaited."""
        return await asyncio.to_thread(self.download_sync, local_path)

    def exists_sync(self) -> bool:
        """Whether the directory exists, even if it is empty."""
        if storage.is_remote(self.path):
            return bool(storage.list_sync(self.path))
        return storage.local_path(self.path).is_dir()

    async def exists(self) -> bool:
        """`exists_sync`, awaited."""
        return await asyncio.to_thread(self.exists_sync)


TypeEngine.register(ReferenceTransformer("Dir", Dir, "MULTIPART"))

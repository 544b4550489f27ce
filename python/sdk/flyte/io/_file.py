"""Files."""

from __future__ import annotations

import asyncio
import os
import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import IO, Any, TypeVar

from flyte import storage
from flyte.io._reference import Reference
from flyte.types._engine import TypeEngine
from flyte.types._error import TypeTransformerFailedError
from flyte.types._transformer import Literal, LiteralType, TypeTransformer

T = TypeVar("T")


class AsyncFile:
    """An open file whose methods are awaited."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    async def read(self, size: int = -1) -> Any:
        """Up to `size` bytes (or characters); all of them without a size."""
        return await asyncio.to_thread(self._file.read, size)

    async def readline(self) -> Any:
        """The next line."""
        return await asyncio.to_thread(self._file.readline)

    async def write(self, data: Any) -> int:
        """Writes all of it."""
        return await asyncio.to_thread(self._file.write, data)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place in the file."""
        return await asyncio.to_thread(self._file.seek, offset, whence)

    def __aiter__(self) -> AsyncFile:
        return self

    async def __anext__(self) -> Any:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line


class File(Reference[T]):
    """A file that tasks hand on: its URL, not what is in it.

    `File.from_local` stores a file of this machine; `File.new_remote` is a place to write to; `File.from_existing_remote` names
    one that is stored already. Methods without `_sync` are awaited.
    """

    @classmethod
    def new_remote(cls, file_name: str | None = None, hash_method: str | None = None) -> File[T]:
        """A file that is not there yet, among the data of the running task: open it for writing."""
        return cls(path=storage.new_url(file_name), hash=hash_method)

    @classmethod
    def named_remote(cls, name: str) -> File[T]:
        """A new file with a unique name, in the data of the running task."""
        return cls.new_remote(name)

    @classmethod
    def from_existing_remote(cls, remote_path: str, file_cache_key: str | None = None) -> File[T]:
        """A stored file. `file_cache_key` represents its content in cache keys."""
        return cls(path=remote_path, hash=file_cache_key)

    @classmethod
    def from_local_sync(
        cls,
        local_path: str | os.PathLike[str],
        remote_destination: str | None = None,
        hash_method: str | None = None,
    ) -> File[T]:
        """A file of this machine.

        In a task, it is stored among the task's data, or at `remote_destination`. Outside of a task, it is uploaded only when a run
        elsewhere needs it. `hash_method` represents its content in cache keys.

        Raises FileNotFoundError if there is none.
        """
        from flyte._context import raw_data_path

        path = pathlib.Path(local_path)
        if not path.is_file():
            raise FileNotFoundError(f"the file {path} does not exist")
        if remote_destination is None and raw_data_path() is None:
            return cls(path=str(path.absolute()), name=path.name, hash=hash_method)
        url = remote_destination or storage.new_url(path.name)
        return cls(path=storage.put_sync(path, url), name=path.name, hash=hash_method)

    @classmethod
    async def from_local(
        cls,
        local_path: str | os.PathLike[str],
        remote_destination: str | None = None,
        hash_method: str | None = None,
    ) -> File[T]:
        """`from_local_sync`, awaited."""
        return await asyncio.to_thread(cls.from_local_sync, local_path, remote_destination, hash_method)

    def open_sync(self, mode: str = "rb", **options: Any) -> AbstractContextManager[IO[Any]]:
        """Opens the file. Options are passed to fsspec if it opens the file."""
        return storage.open_sync(self.path, mode, **options)

    @asynccontextmanager
    async def open(self, mode: str = "rb", **options: Any) -> AsyncIterator[AsyncFile]:
        """The file, open; its methods are awaited."""
        manager = storage.open_sync(self.path, mode, **options)
        file = await asyncio.to_thread(manager.__enter__)
        try:
            yield AsyncFile(file)
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)

    def download_sync(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """Brings the file to this machine, to `local_path` (a file, or a directory to put it in), and returns its path.

        A local file is not copied, unless a path is given. Raises StorageError if its name is invalid.
        """
        if not storage.is_remote(self.path) and local_path is None:
            return str(storage.local_path(self.path))
        target = (
            pathlib.Path(tempfile.mkdtemp(prefix="flyte-"))
            if local_path is None
            else pathlib.Path(local_path)
        )
        if target.is_dir():
            target /= self._own_name()
        if not storage.is_remote(self.path):
            source = storage.local_path(self.path)
            if source.absolute() != target.absolute():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            return str(target)
        return str(storage.get_sync(self.path, target))

    def _own_name(self) -> str:
        """What it is called within a directory of this machine: one component, whatever the name leads to."""
        name = pathlib.PurePosixPath(self.name).name if self.name else "file"
        if name in ("", ".", ".."):
            raise storage.StorageError(f"{self.name!r} is not a valid file name; pass a path to download")
        return name

    async def download(self, local_path: str | os.PathLike[str] | None = None) -> str:
        """`download_sync`, awaited."""
        return await asyncio.to_thread(self.download_sync, local_path)

    def exists_sync(self) -> bool:
        """Whether the file is there."""
        return storage.exists_sync(self.path)

    async def exists(self) -> bool:
        """`exists_sync`, awaited."""
        return await storage.exists(self.path)


class ReferenceTransformer(TypeTransformer[Any]):
    """Files and directories travel as blobs: their URL."""

    def __init__(self, name: str, t: Callable[..., Any], dimensionality: str | None) -> None:
        super().__init__(name, t)
        # SINGLE is the default, which is not written.
        self._dimensionality = {"dimensionality": dimensionality} if dimensionality else {}

    def get_literal_type(self, t: Any) -> LiteralType:
        return {"blob": dict(self._dimensionality)}

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        self.assert_type(self.python_type, python_val)
        await python_val.__flyte_settle__()
        kind = {**({"format": python_val.format} if python_val.format else {}), **self._dimensionality}
        literal: Literal = {"scalar": {"blob": {"metadata": {"type": kind}, "uri": python_val.path}}}
        if python_val.hash:
            literal["hash"] = python_val.hash
        return literal

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        blob = lv.get("scalar", {}).get("blob")
        if blob is None:
            raise TypeTransformerFailedError(f"a {self.name} was expected, not {lv}")
        kind = blob.get("metadata", {}).get("type", {})
        if kind.get("dimensionality", "SINGLE") != self._dimensionality.get("dimensionality", "SINGLE"):
            raise TypeTransformerFailedError(f"a {self.name} was expected, not {lv}")
        made = self.python_type(path=blob["uri"], format=kind.get("format", ""), hash=lv.get("hash") or None)
        return made._as_settled()

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        blob = literal_type.get("blob")
        if blob is None or blob.get("format") == "PythonPickle":
            raise ValueError(f"{literal_type} is not a {self.name}")
        if blob.get("dimensionality", "SINGLE") != self._dimensionality.get("dimensionality", "SINGLE"):
            raise ValueError(f"{literal_type} is not a {self.name}")
        return self.python_type


TypeEngine.register(ReferenceTransformer("File", File, None))

"""What files and directories have in common: a URL, and how it travels."""

from __future__ import annotations

import os
import pathlib
from typing import Any, ClassVar, Generic, TypeVar

from flyte import storage

T = TypeVar("T")
R = TypeVar("R", bound="Reference[Any]")


class Reference(Generic[T]):
    """Stored data by its URL: nothing is copied when it is handed from task to task."""

    _directory: ClassVar[bool] = False
    # Came from the wire: whatever it names is where it belongs. A path of this machine in it is another's word, and what is
    # there is not for uploading.
    _settled: bool = False

    def __init__(
        self, path: str | os.PathLike[str], name: str | None = None, format: str = "", hash: str | None = None
    ) -> None:
        self.path = os.fspath(path)
        self.name = pathlib.PurePosixPath(storage.shown(self.path)).name if name is None else name
        self.format = format
        self.hash = hash

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__flyte_plain__() == other.__flyte_plain__()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.path))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={storage.shown(self.path)!r})"

    def _as_settled(self: R) -> R:
        self._settled = True
        return self

    # ---- within dataclasses and pydantic models

    def __flyte_plain__(self) -> dict[str, Any]:
        """The form within a dataclass."""
        return {"path": self.path, "name": self.name, "format": self.format, "hash": self.hash}

    @classmethod
    def __flyte_from_plain__(cls, plain: Any) -> Any:
        """The reference again."""
        from flyte.types._error import TypeTransformerFailedError

        if isinstance(plain, cls):
            return plain
        if not isinstance(plain, dict) or not isinstance(plain.get("path"), str):
            raise TypeTransformerFailedError(f"expected {cls.__name__} with a path, got {plain!r}")
        known = {key: plain[key] for key in ("path", "name", "format", "hash") if key in plain}
        return cls(**known)._as_settled()

    @classmethod
    def __flyte_schema__(cls) -> dict[str, Any]:
        """The JSON schema within a dataclass."""

        def optional(title: str) -> dict[str, Any]:
            return {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": title}

        kind = "directory" if cls._directory else "file"
        return {
            "title": "Dir" if cls._directory else "File",
            "description": f"A {kind} reference with an optional format type.",
            "type": "object",
            "properties": {
                "path": {"title": "Path", "type": "string"},
                "name": optional("Name"),
                "format": {"default": "", "title": "Format", "type": "string"},
                "hash": optional("Hash"),
            },
            "required": ["path"],
        }

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.__flyte_from_plain__,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.__flyte_plain__()
            ),
            # A separate definition in schemas, as for models.
            ref=f"{cls.__module__}.{cls.__name__}:{id(cls)}",
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        title = "Dir" if cls._directory else "File"
        return {**cls.__flyte_schema__(), "x-flyte-type": title.lower()}

    async def __flyte_settle__(self) -> None:
        """Uploads local data before a task elsewhere gets it.

        Only what was made here: a reference of another run is handed on as it came.
        """
        from flyte._context import uploader

        upload = uploader()
        if upload is None or self._settled or storage.is_remote(self.path) or storage.is_object(self.path):
            return
        path = storage.local_path(self.path)
        if path.exists():
            self.path = await upload(path, self.name)

    @property
    def lazy_uploader(self) -> None:
        """Nothing: uploads happen when a value is written for a task elsewhere."""
        return None

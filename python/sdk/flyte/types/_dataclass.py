"""Dataclasses on the wire."""

from __future__ import annotations

from typing import Any

from flyte.types import _hints, _records
from flyte.types._error import TypeTransformerFailedError
from flyte.types._transformer import (
    STRUCT_ANNOTATION,
    Literal,
    LiteralType,
    TypeTransformer,
    packed,
    unpacked,
)


class DataclassTransformer(TypeTransformer[Any]):
    """Dataclasses: their fields packed, their JSON schema in the type."""

    def __init__(self) -> None:
        super().__init__("Object-Dataclass-Transformer", object)

    def assert_type(self, t: Any, v: Any) -> None:
        cls = _hints.dataclass_of(t)
        # A dict is taken for one whose fields it has, which `to_literal` finds out.
        if not isinstance(v, (cls, dict)):
            raise TypeTransformerFailedError(
                f"expected {_hints.name(cls)}, got {v!r} of type {type(v).__name__}"
            )

    def get_literal_type(self, t: Any) -> LiteralType:
        return {
            "simple": "STRUCT",
            "metadata": _records.schema(t),
            "annotation": STRUCT_ANNOTATION,
            "structure": {"tag": self.name},
        }

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        python_type = _hints.bare(python_type)
        if isinstance(python_val, dict):
            python_val = _records.from_plain(python_val, python_type)
        await _settle(python_val)
        return packed(_records.to_plain(python_val, python_type))

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        return _records.from_plain(unpacked(lv), expected_python_type)

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        metadata = literal_type.get("metadata", {})
        if literal_type.get("simple") == "STRUCT" and ("title" in metadata or "$ref" in metadata):
            from flyte.types._guess import class_of

            return class_of(metadata)
        raise ValueError(f"{literal_type} is not a dataclass")


async def _settle(value: Any) -> None:
    """Uploads files and directories in the value, so that the receiving task can read them."""
    import dataclasses

    settle = getattr(value, "__flyte_settle__", None)
    if settle is not None:
        await settle()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            await _settle(getattr(value, field.name, None))
    elif isinstance(value, dict):
        for one in value.values():
            await _settle(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            await _settle(one)

"""What turns one kind of Python type into types and values of the wire, and back."""

from __future__ import annotations

import base64
import typing
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from flyte.types import _hints, _msgpack
from flyte.types._error import TypeTransformerFailedError

T = TypeVar("T")

# A message of the wire as its proto-JSON: `{"simple": "INTEGER"}`, `{"scalar": {"primitive": {"integer": "3"}}}`.
LiteralType = dict[str, Any]
Literal = dict[str, Any]

MESSAGEPACK = "msgpack"
STRUCT_ANNOTATION = {"annotations": {"cache-key-metadata": {"serialization-format": MESSAGEPACK}}}


class TypeTransformer(ABC, Generic[T]):
    """Knows one Python type: its type on the wire, its values, and the way back.

    To support your own type in tasks, create a subclass and pass it to `TypeEngine.register`. Types and literals are
    `flyteidl2.core.LiteralType` and `flyteidl2.core.Literal` as proto-JSON dictionaries.
    """

    def __init__(self, name: str, t: type[T] | Any, enable_type_assertions: bool = True) -> None:
        self._name = name
        self._type = t
        self._assertions = enable_type_assertions

    @property
    def name(self) -> str:
        """What tags the variants of a union that this transformer wrote."""
        return self._name

    @property
    def python_type(self) -> Any:
        """The Python type that it is registered for."""
        return self._type

    @property
    def type_assertions_enabled(self) -> bool:
        """Whether `assert_type` is asked before `to_literal`."""
        return self._assertions

    def assert_type(self, t: Any, v: Any) -> None:
        """Raises TypeTransformerFailedError if `v` is not of type `t`."""
        origin = typing.get_origin(t)
        expected = origin if isinstance(origin, type) else t
        if isinstance(expected, type) and not isinstance(v, expected):
            raise TypeTransformerFailedError(
                f"expected a value of type {_hints.name(t)}, got {v!r} of type {type(v).__name__}"
            )

    @abstractmethod
    def get_literal_type(self, t: Any) -> LiteralType:
        """The type on the wire."""

    @abstractmethod
    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        """The value on the wire. Raises TypeTransformerFailedError if it does not fit."""

    @abstractmethod
    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        """The Python value of a literal. Raises TypeTransformerFailedError if it does not fit."""

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        """The Python type that has this type on the wire. Raises ValueError if there is none of this kind."""
        raise ValueError(f"{self.name} makes no Python type of {literal_type}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"


def binary_of(literal: Literal) -> bytes | None:
    """The bytes of a binary literal, or None for a literal of another kind."""
    binary = literal.get("scalar", {}).get("binary")
    if binary is None:
        return None
    return base64.b64decode(binary.get("value", ""))


def packed(plain: Any) -> Literal:
    """A literal that holds plain values as MessagePack."""
    value = base64.b64encode(_msgpack.pack(plain)).decode()
    return {"scalar": {"binary": {"value": value, "tag": MESSAGEPACK}}}


def unpacked(literal: Literal) -> Any:
    """What a literal made by `packed`, or by a console as a Struct, holds.

    Raises TypeTransformerFailedError for a literal of another kind.
    """
    scalar = literal.get("scalar", {})
    if "binary" in scalar:
        tag = scalar["binary"].get("tag", "")
        if tag != MESSAGEPACK:
            raise TypeTransformerFailedError(f"a value in the format {tag!r} is not read here")
        return _msgpack.unpack(base64.b64decode(scalar["binary"].get("value", "")))
    if "generic" in scalar:
        return scalar["generic"]
    raise TypeTransformerFailedError(f"a structure was expected, not {literal}")

"""Which transformer a type has."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from flyte.types import _hints
from flyte.types._containers import DictTransformer, ListTransformer, UnionTransformer
from flyte.types._dataclass import DataclassTransformer
from flyte.types._error import TypeTransformerFailedError
from flyte.types._pickle import FlytePickleTransformer
from flyte.types._pydantic import (
    NamedTupleTransformer,
    PydanticTransformer,
    TupleTransformer,
    TypedDictTransformer,
    constrained,
)
from flyte.types._simple import EnumTransformer, simple_transformers
from flyte.types._transformer import Literal, LiteralType, TypeTransformer


class TypeEngine:
    """Turns Python types and values into types and values of the wire, and back.

    Types and values of the wire are proto-JSON dictionaries of `flyteidl2.core.LiteralType` and `flyteidl2.core.Literal`.
    """

    _registered: typing.ClassVar[dict[Any, TypeTransformer[Any]]] = {}
    _enum: typing.ClassVar[TypeTransformer[Any]] = EnumTransformer()
    _dataclass: typing.ClassVar[TypeTransformer[Any]] = DataclassTransformer()
    _pydantic: typing.ClassVar[TypeTransformer[Any]] = PydanticTransformer()
    _tuple: typing.ClassVar[TypeTransformer[Any]] = TupleTransformer()
    _named_tuple: typing.ClassVar[TypeTransformer[Any]] = NamedTupleTransformer()
    _typed_dict: typing.ClassVar[TypeTransformer[Any]] = TypedDictTransformer()
    _pickle: typing.ClassVar[TypeTransformer[Any]] = FlytePickleTransformer()

    @classmethod
    def register(cls, transformer: TypeTransformer[Any], additional_types: Iterable[Any] = ()) -> None:
        """Lets tasks take and return the transformer's type.

        Raises ValueError if the type has a transformer already.
        """
        for t in (transformer.python_type, *additional_types):
            if t in cls._registered:
                raise ValueError(f"{_hints.name(t)} is taken care of by {cls._registered[t].name} already")
            cls._registered[t] = transformer

    @classmethod
    def get_transformer(cls, python_type: Any) -> TypeTransformer[Any]:
        """The transformer of a type; what none takes is pickled."""
        if typing.get_origin(python_type) is typing.Annotated:
            plain, *rest = typing.get_args(python_type)
            for one in rest:
                if isinstance(one, TypeTransformer):
                    return one
            return cls.get_transformer(plain)
        found = cls._direct(python_type)
        if found is not None:
            return found
        for base in getattr(python_type, "__mro__", ())[1:]:
            found = cls._direct(base)
            if found is not None:
                return found
        if _hints.is_dataclass(python_type):
            return cls._dataclass
        return cls._pickle

    @classmethod
    def _direct(cls, python_type: Any) -> TypeTransformer[Any] | None:
        if inspect.isclass(python_type) and issubclass(python_type, enum.Enum):
            return cls._enum
        if _hints.is_named_tuple(python_type):
            return cls._named_tuple
        if _hints.is_typed_tuple(python_type):
            return cls._tuple
        if _hints.is_typed_dict(python_type):
            return cls._typed_dict
        if _hints.is_union(python_type):
            return cls._registered[typing.Union]
        origin = typing.get_origin(python_type)
        if origin is not None:
            try:
                if python_type in cls._registered:
                    return cls._registered[python_type]
            except TypeError:
                pass
            if origin in cls._registered:
                return cls._registered[origin]
        if python_type is list:
            # The type of the elements is not known.
            return None
        try:
            found = cls._registered.get(python_type)
        except TypeError:
            return None
        if found is None and _hints.is_pydantic(python_type):
            return cls._pydantic
        return found

    @classmethod
    def to_literal_type(cls, python_type: Any) -> LiteralType:
        """The type on the wire. Raises TypeTransformerFailedError for a type that cannot travel."""
        literal_type = cls.get_transformer(python_type).get_literal_type(python_type)
        if typing.get_origin(python_type) is typing.Annotated:
            literal_type = constrained(literal_type, python_type)
        return literal_type

    @classmethod
    async def to_literal(
        cls, python_val: Any, python_type: Any, expected: LiteralType | None = None
    ) -> Literal:
        """The value on the wire. Raises TypeTransformerFailedError if it is not of the type."""
        transformer = cls.get_transformer(python_type)
        if transformer.type_assertions_enabled:
            transformer.assert_type(python_type, python_val)
        return await transformer.to_literal(
            python_val, python_type, cls.to_literal_type(python_type) if expected is None else expected
        )

    @classmethod
    async def to_python_value(cls, lv: Literal, expected_python_type: Any) -> Any:
        """The Python value of a literal. Raises TypeTransformerFailedError if it is not of the type."""
        if "offloadedMetadata" in lv:
            from flyte import storage
            from flyte._wire import decode

            data = await storage.read(lv["offloadedMetadata"]["uri"])
            lv = decode("flyteidl2.core.Literal", data)
        return await cls.get_transformer(expected_python_type).to_python_value(lv, expected_python_type)

    @classmethod
    def guess_python_type(cls, literal_type: LiteralType) -> Any:
        """A Python type that has this type on the wire. Raises ValueError if there is none."""
        tag = literal_type.get("structure", {}).get("tag")
        transformers = [*dict.fromkeys(cls._registered.values()), cls._enum, cls._dataclass]
        for transformer in (cls._pickle, *sorted(transformers, key=lambda one: one.name != tag)):
            try:
                return transformer.guess_python_type(literal_type)
            except ValueError:
                continue
        raise ValueError(f"no Python type is known for {literal_type}")

    @classmethod
    async def literal_map_to_kwargs(
        cls, literals: Mapping[str, Literal], python_types: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The Python values of named literals. Raises TypeTransformerFailedError naming the one that does not fit."""
        values = {}
        for key, literal in literals.items():
            if key not in python_types:
                raise TypeTransformerFailedError(
                    f"unknown value {key!r}; the values are {', '.join(python_types)}"
                )
            try:
                values[key] = await cls.to_python_value(literal, python_types[key])
            except Exception as error:
                raise TypeTransformerFailedError(
                    f"{key!r} is not of type {_hints.name(python_types[key])}: {error}"
                ) from error
        return values


for _transformer in simple_transformers():
    TypeEngine.register(_transformer, [None] if _transformer.python_type is type(None) else [])
TypeEngine.register(ListTransformer())
TypeEngine.register(UnionTransformer(), {types.UnionType} - {typing.Union})
TypeEngine.register(DictTransformer())

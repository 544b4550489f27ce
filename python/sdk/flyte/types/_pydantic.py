"""Pydantic models, and the types that travel as one: tuples, named tuples and typed dicts. Pydantic is imported when one is met."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import typing
from functools import lru_cache
from typing import Any

from flyte.types import _hints
from flyte.types._error import TypeTransformerFailedError
from flyte.types._transformer import (
    STRUCT_ANNOTATION,
    Literal,
    LiteralType,
    TypeTransformer,
    packed,
    unpacked,
)

NAME = "Pydantic Transformer"


def _pydantic(what: str) -> Any:
    try:
        import pydantic
    except ImportError:
        raise TypeTransformerFailedError(
            f"{what} travels as a pydantic model: install pydantic, or use a dataclass"
        ) from None
    return pydantic


@lru_cache(maxsize=1)
def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class NamedEnums(GenerateJsonSchema):
        """Enums by the names of their members, as they travel."""

        def enum_schema(self, schema: Any) -> Any:
            result = super().enum_schema(schema)
            members = schema.get("cls")
            if members is not None and issubclass(members, enum.Enum) and "enum" in result:
                result["enum"] = [member.name for member in members]
            return result

    return NamedEnums


def model_schema(model: Any) -> dict[str, Any]:
    """The JSON schema of a model."""
    return dict(model.model_json_schema(schema_generator=_generator()))


def _named(value: Any, hint: Any, to_names: bool) -> Any:
    """The plain value with the enums in it by their names, or back as members."""
    variants = (
        [one for one in typing.get_args(hint) if one is not type(None)] if _hints.is_union(hint) else []
    )
    if len(variants) == 1:
        hint = variants[0]
    if value is None:
        return None
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _member(value, hint, to_names)
    if _hints.is_pydantic(hint) and isinstance(value, dict):
        return _named_fields(value, hint, to_names)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is list and arguments and isinstance(value, list):
        return [_named(one, arguments[0], to_names) for one in value]
    if typing.get_origin(hint) is dict and len(arguments) == 2 and isinstance(value, dict):
        return {
            _named(key, arguments[0], to_names): _named(one, arguments[1], to_names)
            for key, one in value.items()
        }
    return value


def _member(value: Any, members: type[enum.Enum], to_names: bool) -> Any:
    try:
        if to_names:
            return members(value).name
        return members[value] if value in members.__members__ else members(value)
    except (KeyError, ValueError, TypeError):
        return value


def _named_fields(plain: dict[str, Any], model: Any, to_names: bool) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(model)
    except Exception:  # a hint that only pydantic can resolve
        return plain
    return {
        key: _named(value, hints[key], to_names) if key in hints else value for key, value in plain.items()
    }


class PydanticTransformer(TypeTransformer[Any]):
    """Pydantic models."""

    def __init__(self) -> None:
        super().__init__(NAME, None, enable_type_assertions=False)

    def get_literal_type(self, t: Any) -> LiteralType:
        return {
            "simple": "STRUCT",
            "metadata": model_schema(_hints.bare(t)),
            "annotation": STRUCT_ANNOTATION,
            "structure": {"tag": NAME},
        }

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        model = _hints.bare(python_type)
        if isinstance(python_val, dict):
            python_val = validated(model, python_val)
        if not isinstance(python_val, model):
            raise TypeTransformerFailedError(f"expected {_hints.name(model)}, got {python_val!r}")
        plain = json.loads(python_val.model_dump_json())
        return packed(_named_fields(plain, type(python_val), True))

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        model = _hints.bare(expected_python_type)
        plain = unpacked(lv)
        if not isinstance(plain, dict):
            raise TypeTransformerFailedError(f"expected {_hints.name(model)}, got {plain!r}")
        return validated(model, _named_fields(plain, model, False))


def validated(model: Any, plain: Any) -> Any:
    """The model of plain values. Raises TypeTransformerFailedError if they do not fit."""
    try:
        return model.model_validate(plain, strict=False, context={"deserialize": True})
    except Exception as error:  # pydantic's own, which cannot be named without importing it
        raise TypeTransformerFailedError(f"not a {model.__name__}: {error}") from error


class _Wrapped(TypeTransformer[Any]):
    """A type whose values are put into a model made for it."""

    def __init__(self, name: str, t: Any) -> None:
        super().__init__(name, t, enable_type_assertions=False)
        self._models = PydanticTransformer()

    def model(self, t: Any) -> Any:
        """The model made for the type."""
        raise NotImplementedError

    def into(self, value: Any, t: Any) -> dict[str, Any]:
        """The fields of the model for a value."""
        raise NotImplementedError

    def out_of(self, model: Any, t: Any) -> Any:
        """The value again."""
        raise NotImplementedError

    def get_literal_type(self, t: Any) -> LiteralType:
        return self._models.get_literal_type(self.model(t))

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        model = self.model(python_type)
        value = validated(model, self.into(python_val, python_type))
        return await self._models.to_literal(value, model, expected)

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        model = self.model(expected_python_type)
        return self.out_of(await self._models.to_python_value(lv, model), expected_python_type)


class TupleTransformer(_Wrapped):
    """Tuples, for example `tuple[int, str]`."""

    def __init__(self) -> None:
        super().__init__("Typed Tuple", tuple)

    def model(self, t: Any) -> Any:
        fields: Any = {f"item_{index}": (hint, ...) for index, hint in enumerate(typing.get_args(t))}
        return _pydantic(_hints.name(t)).create_model("TupleWrapper_tuple", **fields)

    def into(self, value: Any, t: Any) -> dict[str, Any]:
        expected = len(typing.get_args(t))
        if not isinstance(value, tuple) or len(value) != expected:
            raise TypeTransformerFailedError(f"expected a tuple of {expected} elements, got {value!r}")
        return {f"item_{index}": element for index, element in enumerate(value)}

    def out_of(self, model: Any, t: Any) -> Any:
        return tuple(getattr(model, name) for name in type(model).model_fields)


class NamedTupleTransformer(_Wrapped):
    """Named tuples."""

    def __init__(self) -> None:
        super().__init__("NamedTuple", tuple)

    def model(self, t: Any) -> Any:
        fields: Any = {
            name: (hint, ...) for name, hint in typing.get_type_hints(t, include_extras=True).items()
        }
        return _pydantic(_hints.name(t)).create_model(f"NamedTupleWrapper_{t.__name__}", **fields)

    def into(self, value: Any, t: Any) -> dict[str, Any]:
        if not isinstance(value, tuple) or len(value) != len(t._fields):
            raise TypeTransformerFailedError(f"expected {t.__name__}, got {value!r}")
        return {name: _open(element) for name, element in zip(t._fields, value, strict=True)}

    def out_of(self, model: Any, t: Any) -> Any:
        return t(*(getattr(model, name) for name in t._fields))


def _open(value: Any) -> Any:
    """The value as dicts and lists, for a model to take."""
    if _hints.is_pydantic(type(value)):
        return value.model_dump()
    if hasattr(value, "_asdict"):
        return {key: _open(one) for key, one in value._asdict().items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: _open(one) for key, one in dataclasses.asdict(value).items()}
    if isinstance(value, dict):
        return {key: _open(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_open(one) for one in value]
    return value


class TypedDictTransformer(_Wrapped):
    """Typed dicts."""

    def __init__(self) -> None:
        super().__init__("TypedDict", dict)
        self._made: dict[Any, Any] = {}

    def model(self, t: Any) -> Any:
        if t not in self._made:
            hints = typing.get_type_hints(t)
            fields: Any = {
                key: (hint, ...) if key in t.__required_keys__ else (typing.Optional[hint], None)  # noqa: UP045
                for key, hint in hints.items()
            }
            self._made[t] = _pydantic(_hints.name(t)).create_model(f"TypedDictWrapper_{t.__name__}", **fields)
        return self._made[t]

    def into(self, value: Any, t: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeTransformerFailedError(f"expected {t.__name__}, got {value!r}")
        missing = sorted(key for key in t.__required_keys__ if key not in value)
        if missing:
            raise TypeTransformerFailedError(f"{t.__name__} lacks {', '.join(missing)}")
        return {key: _open(one) for key, one in value.items()}

    def out_of(self, model: Any, t: Any) -> Any:
        optional = set(typing.get_type_hints(t)) - set(t.__required_keys__)
        found = {name: getattr(model, name) for name in type(model).model_fields}
        return {key: value for key, value in found.items() if not (key in optional and value is None)}


# ---- constraints of pydantic on a type: Annotated[str, Field(pattern=...)]

_STRUCTURE = frozenset(
    "type anyOf oneOf allOf $defs $ref items prefixItems properties additionalProperties required discriminator default".split()
)


def constrained(literal_type: LiteralType, annotation: Any) -> LiteralType:
    """The type with what pydantic's fields in its annotation say about its values."""
    if "pydantic" not in sys.modules:
        return literal_type
    plain, said = _split(annotation)
    if not said:
        return literal_type
    result = dict(literal_type)
    extra = _said(plain, said)
    if extra:
        result["metadata"] = {**result.get("metadata", {}), **extra}
    variants = result.get("unionType", {}).get("variants", [])
    arguments = typing.get_args(plain)
    if variants and len(arguments) == len(variants):
        result["unionType"] = {
            "variants": [
                _variant(variant, argument, said, extra)
                for variant, argument in zip(variants, arguments, strict=True)
            ]
        }
    return result


def _variant(variant: LiteralType, argument: Any, said: list[Any], extra: dict[str, Any]) -> LiteralType:
    if argument is type(None):
        return variant
    result = dict(constrained(variant, _annotated(argument, said)))
    if "metadata" in result:
        result["metadata"] = {key: value for key, value in result["metadata"].items() if key not in extra}
    return result


def _split(annotation: Any) -> tuple[Any, list[Any]]:
    import annotated_types
    from pydantic.fields import FieldInfo
    from pydantic.json_schema import WithJsonSchema

    kinds = (FieldInfo, annotated_types.BaseMetadata, annotated_types.GroupedMetadata, WithJsonSchema)
    plain, *rest = typing.get_args(annotation)
    return plain, [one for one in rest if isinstance(one, kinds)]


def _annotated(plain: Any, said: list[Any]) -> Any:
    return typing.Annotated.__class_getitem__((plain, *said))  # type: ignore[attr-defined]


def _said(plain: Any, said: list[Any]) -> dict[str, Any]:
    from pydantic import TypeAdapter

    try:
        without = TypeAdapter(plain).json_schema()
        with_them = TypeAdapter(_annotated(plain, said)).json_schema()
    except Exception:  # pydantic knows no schema for the type, so that there is nothing to add
        return {}
    missing = object()
    return {
        key: value
        for key, value in with_them.items()
        if key not in _STRUCTURE and without.get(key, missing) != value
    }

"""Dataclasses and what is in them: JSON schema, and the plain values that are packed into a literal.

The schemas are of draft 2020-12 and the values have the forms that the published package gives them, so that either package reads
what the other wrote.
"""

from __future__ import annotations

import base64
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import os
import typing
import uuid
import zoneinfo
from typing import Any

from flyte.types import _hints
from flyte.types._error import TypeTransformerFailedError

_BYTES = (bytes, bytearray, memoryview)
_ADDRESSES: dict[Any, str] = {
    ipaddress.IPv4Address: "ipv4",
    ipaddress.IPv6Address: "ipv6",
    ipaddress.IPv4Network: "ipv4network",
    ipaddress.IPv6Network: "ipv6network",
    ipaddress.IPv4Interface: "ipv4interface",
    ipaddress.IPv6Interface: "ipv6interface",
}
# Types whose values travel as their `str(...)`, and the format that the schema names.
_TEXTS: dict[Any, str | None] = {
    uuid.UUID: "uuid",
    decimal.Decimal: "decimal",
    fractions.Fraction: "fraction",
    zoneinfo.ZoneInfo: "time-zone",
    **_ADDRESSES,
}
_TIMES: dict[Any, str] = {datetime.datetime: "date-time", datetime.date: "date", datetime.time: "time"}
_SIMPLE: dict[Any, str] = {int: "integer", float: "number", bool: "boolean", str: "string"}


# ---- schemas


def schema(annotation: Any) -> dict[str, Any]:
    """The JSON schema of a dataclass.

    Raises TypeTransformerFailedError if a field has an unsupported type.
    """
    builder = _Schemas()
    found = builder.of(annotation)
    if builder.definitions:
        found["$defs"] = builder.definitions
    return found


class _Schemas:
    """One schema being made: what is under way, and what refers to itself."""

    def __init__(self) -> None:
        self.building: set[Any] = set()
        self.definitions: dict[str, Any] = {}

    def of(self, annotation: Any) -> dict[str, Any]:
        annotation = _hints.bare(annotation)
        origin = typing.get_origin(annotation) or annotation
        arguments = typing.get_args(annotation)
        special = getattr(origin, "__flyte_schema__", None)
        if special is not None:
            return dict(special())
        if dataclasses.is_dataclass(origin):
            return self.dataclass(annotation)
        if annotation is Any or isinstance(annotation, typing.TypeVar):
            return self.variable(annotation)
        if annotation is None or annotation is type(None):
            return {"type": "null"}
        if _hints.is_union(annotation):
            return {"anyOf": [self.of(argument) for argument in arguments]}
        if origin is typing.Literal:
            values = [_literal(argument) for argument in arguments]
            return {"const": values[0]} if len(values) == 1 else {"enum": values}
        if isinstance(annotation, typing.NewType):
            return self.of(annotation.__supertype__)
        if origin in _SIMPLE:
            return {"type": _SIMPLE[origin]}
        if origin in _TIMES:
            return {"type": "string", "format": _TIMES[origin]}
        if origin is datetime.timedelta:
            return {"type": "number", "format": "time-delta"}
        if origin is datetime.timezone:
            return {"type": "string", "pattern": r"^UTC([+-][0-2][0-9]:[0-5][0-9])?$"}
        if origin in _TEXTS:
            return {"type": "string", "format": _TEXTS[origin]}
        if _hints.is_pydantic(origin):
            from flyte.types._pydantic import model_schema

            return model_schema(origin)
        if isinstance(origin, type):
            found = self.container(annotation, origin, arguments)
            if found is not None:
                return found
        raise TypeTransformerFailedError(
            f"a value of type {_hints.name(annotation)} cannot be a part of a dataclass that travels"
        )

    def variable(self, annotation: Any) -> dict[str, Any]:
        if isinstance(annotation, typing.TypeVar):
            if annotation.__constraints__:
                return {"anyOf": [self.of(argument) for argument in annotation.__constraints__]}
            if annotation.__bound__ is not None:
                return self.of(annotation.__bound__)
        return {}

    def dataclass(self, annotation: Any) -> dict[str, Any]:
        cls = _hints.dataclass_of(annotation)
        title = cls.__name__
        if cls in self.building:
            self.definitions.setdefault(title, {})
            return {"$ref": f"#/$defs/{title}"}
        self.building.add(cls)
        try:
            properties: dict[str, Any] = {}
            required = []
            for field, hint in _hints.fields(annotation):
                properties[field.name] = one = self.of(hint)
                if field.default is not dataclasses.MISSING:
                    one["default"] = _plain(field.default, hint, for_json=True)
                elif field.default_factory is dataclasses.MISSING:
                    required.append(field.name)
                if field.metadata.get("description"):
                    one["description"] = field.metadata["description"]
            found: dict[str, Any] = {"type": "object", "title": title, "additionalProperties": False}
            if properties:
                found["properties"] = properties
            if required:
                found["required"] = required
            if self.definitions.get(title) == {}:
                self.definitions[title] = found
                return {"$ref": f"#/$defs/{title}"}
            return found
        finally:
            self.building.discard(cls)

    def container(self, annotation: Any, origin: type, arguments: tuple[Any, ...]) -> dict[str, Any] | None:
        if issubclass(origin, _BYTES):
            return {"type": "string", "format": "base64"}
        if issubclass(origin, enum.Enum):
            return {"enum": [member.value for member in origin]}
        if issubclass(origin, str):
            return {"type": "string"}
        if issubclass(origin, os.PathLike):
            return {"type": "string", "format": "path"}
        if issubclass(origin, tuple):
            if _hints.is_named_tuple(origin):
                hints = typing.get_type_hints(origin)
                return _tuple([self.of(hints.get(name, Any)) for name in origin._fields])  # type: ignore[attr-defined]
            if not arguments:
                return {"type": "array", "maxItems": 0} if annotation == tuple[()] else {"type": "array"}
            if arguments[-1] is Ellipsis:
                return _items(self.of(arguments[0]))
            return _tuple([self.of(argument) for argument in arguments])
        if _hints.is_typed_dict(origin):
            hints = typing.get_type_hints(origin)
            found = {"type": "object", "additionalProperties": False}
            if hints:
                found["properties"] = {key: self.of(hint) for key, hint in hints.items()}
            if origin.__required_keys__:  # type: ignore[attr-defined]
                found["required"] = sorted(origin.__required_keys__)  # type: ignore[attr-defined]
            return found
        if issubclass(origin, collections.abc.Mapping):
            found = {"type": "object"}
            if arguments:
                for name, argument in (
                    ("additionalProperties", arguments[1]),
                    ("propertyNames", arguments[0]),
                ):
                    one = self.of(argument)
                    if one:
                        found[name] = one
            return found
        if issubclass(origin, collections.abc.Collection):
            found = _items(self.of(arguments[0])) if arguments else {"type": "array"}
            if issubclass(origin, collections.abc.Set):
                found["uniqueItems"] = True
            return found
        return None


def _items(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items} if items else {"type": "array"}


def _tuple(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _literal(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.encodebytes(value).decode()
    return value


# ---- values


def to_plain(value: Any, annotation: Any) -> Any:
    """The value as lists, dicts, texts and numbers, which can be packed.

    Raises TypeTransformerFailedError if it does not have the annotated type, or has no such form.
    """
    return _plain(value, annotation, for_json=False)


def _plain(value: Any, annotation: Any, *, for_json: bool) -> Any:
    annotation = _hints.bare(annotation)
    if _hints.is_union(annotation):
        return _plain_variant(value, typing.get_args(annotation), for_json)
    if isinstance(annotation, typing.TypeVar):
        annotation = annotation.__bound__ or type(value)
    if isinstance(annotation, typing.NewType):
        return _plain(value, annotation.__supertype__, for_json=for_json)
    origin = typing.get_origin(annotation) or annotation
    arguments = typing.get_args(annotation)
    if annotation is Any or origin is typing.Literal:
        return _literal(value) if for_json or isinstance(value, enum.Enum) else value
    serialize = getattr(value, "__flyte_plain__", None)
    if serialize is not None:
        return serialize()
    if dataclasses.is_dataclass(origin):
        if not isinstance(value, origin):  # type: ignore[arg-type]
            raise _wrong(value, annotation)
        return {
            field.name: _plain(getattr(value, field.name), hint, for_json=for_json)
            for field, hint in _hints.fields(annotation)
        }
    if value is None:
        if annotation is None or annotation is type(None):
            return None
        raise _wrong(value, annotation)
    if _hints.is_pydantic(origin):
        return value.model_dump(mode="json")
    if not isinstance(origin, type):
        raise _wrong(value, annotation)
    if issubclass(origin, enum.Enum):
        return value.value if isinstance(value, origin) else origin(value).value
    if origin in _TIMES:
        return value.isoformat()
    if origin is datetime.timedelta:
        return value.total_seconds()
    if origin in _TEXTS or origin is datetime.timezone:
        return str(value)
    if issubclass(origin, _BYTES):
        return base64.encodebytes(bytes(value)).decode() if for_json else bytes(value)
    if issubclass(origin, os.PathLike):
        return os.fspath(value)
    if origin in _SIMPLE or issubclass(origin, str):
        if origin is float and isinstance(value, int) and not isinstance(value, bool):
            return value
        if not isinstance(value, origin):
            raise _wrong(value, annotation)
        return value
    return _plain_container(value, annotation, origin, arguments, for_json)


def _is_exactly(value: Any, variant: Any) -> bool:
    kind: Any = typing.get_origin(variant) or variant
    return bool(type(value) is kind)


def _plain_variant(value: Any, variants: tuple[Any, ...], for_json: bool) -> Any:
    if value is None and type(None) in variants:
        return None
    # The variant of exactly this type goes first: `1` is also a float.
    ordered = sorted(variants, key=lambda variant: not _is_exactly(value, variant))
    for variant in ordered:
        if variant is type(None):
            continue
        try:
            return _plain(value, variant, for_json=for_json)
        except (TypeTransformerFailedError, AttributeError, TypeError, ValueError):
            continue
    raise _wrong(value, typing.Union[variants])  # noqa: UP007


def _plain_container(
    value: Any, annotation: Any, origin: type, arguments: tuple[Any, ...], for_json: bool
) -> Any:
    def each(element: Any, hint: Any) -> Any:
        return _plain(element, hint, for_json=for_json)

    if issubclass(origin, tuple):
        if _hints.is_named_tuple(origin):
            hints = typing.get_type_hints(origin)
            return [each(getattr(value, name), hints.get(name, Any)) for name in origin._fields]  # type: ignore[attr-defined]
        if not arguments or arguments[-1] is Ellipsis:
            return [each(element, arguments[0] if arguments else Any) for element in value]
        if len(value) != len(arguments):
            raise _wrong(value, annotation)
        return [each(element, hint) for element, hint in zip(value, arguments, strict=True)]
    if _hints.is_typed_dict(origin):
        hints = typing.get_type_hints(origin)
        return {key: each(value[key], hint) for key, hint in hints.items() if key in value}
    if issubclass(origin, collections.abc.Mapping):
        if not isinstance(value, collections.abc.Mapping):
            raise _wrong(value, annotation)
        key_hint, value_hint = arguments or (Any, Any)
        return {each(key, key_hint): each(element, value_hint) for key, element in value.items()}
    if issubclass(origin, collections.abc.Collection):
        if not isinstance(value, collections.abc.Collection) or isinstance(value, (str, *_BYTES)):
            raise _wrong(value, annotation)
        return [each(element, arguments[0] if arguments else Any) for element in value]
    raise TypeTransformerFailedError(f"a value of type {_hints.name(annotation)} has no form to travel in")


def from_plain(plain: Any, annotation: Any) -> Any:
    """The value that `to_plain` made `plain` of.

    Raises TypeTransformerFailedError naming the field that does not fit.
    """
    annotation = _hints.bare(annotation)
    if annotation is Any:
        return plain
    if _hints.is_union(annotation):
        return _variant(plain, typing.get_args(annotation))
    if isinstance(annotation, typing.TypeVar):
        return from_plain(plain, annotation.__bound__) if annotation.__bound__ else plain
    if isinstance(annotation, typing.NewType):
        return from_plain(plain, annotation.__supertype__)
    origin = typing.get_origin(annotation) or annotation
    arguments = typing.get_args(annotation)
    if origin is typing.Literal:
        for argument in arguments:
            if _literal(argument) == plain:
                return argument
        raise _wrong(plain, annotation)
    if annotation is None or annotation is type(None):
        if plain is not None:
            raise _wrong(plain, annotation)
        return None
    deserialize = getattr(origin, "__flyte_from_plain__", None)
    if deserialize is not None:
        return deserialize(plain)
    if dataclasses.is_dataclass(origin):
        return _dataclass_from(plain, annotation)
    if _hints.is_pydantic(origin):
        return origin.model_validate(plain)
    if not isinstance(origin, type):
        raise _wrong(plain, annotation)
    return _scalar_from(plain, annotation, origin, arguments)


def _dataclass_from(plain: Any, annotation: Any) -> Any:
    cls = _hints.dataclass_of(annotation)
    if not isinstance(plain, dict):
        raise _wrong(plain, annotation)
    given = {}
    for field, hint in _hints.fields(annotation):
        if field.name in plain:
            try:
                given[field.name] = from_plain(plain[field.name], hint)
            except (TypeTransformerFailedError, TypeError, ValueError) as error:
                raise TypeTransformerFailedError(f"field {field.name} of {cls.__name__}: {error}") from error
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise TypeTransformerFailedError(f"field {field.name} of {cls.__name__} is missing")
    return cls(**given)


def _variant(plain: Any, variants: tuple[Any, ...]) -> Any:
    if plain is None and type(None) in variants:
        return None
    reasons = []
    ordered = sorted(variants, key=lambda variant: not _is_exactly(plain, variant))
    for variant in ordered:
        if variant is type(None):
            continue
        try:
            return from_plain(plain, variant)
        except (TypeTransformerFailedError, TypeError, ValueError) as error:
            reasons.append(str(error))
    raise TypeTransformerFailedError("; ".join(reasons) or f"{plain!r} is not None")


def _scalar_from(plain: Any, annotation: Any, origin: type, arguments: tuple[Any, ...]) -> Any:
    if origin is bool:
        return bool(plain)
    if origin in (int, float):
        if isinstance(plain, (bool, list, dict, type(None))):
            raise _wrong(plain, annotation)
        return origin(plain)
    if issubclass(origin, enum.Enum):
        return origin(plain)
    if issubclass(origin, str):
        if not isinstance(plain, str):
            raise _wrong(plain, annotation)
        return plain if origin is str else origin(plain)
    if origin in _TIMES:
        text = plain[:-1] + "+00:00" if isinstance(plain, str) and plain.endswith("Z") else plain
        return origin.fromisoformat(text)  # type: ignore[attr-defined]
    if origin is datetime.timedelta:
        return datetime.timedelta(seconds=plain)
    if origin is datetime.timezone:
        return _timezone(plain)
    if issubclass(origin, _BYTES):
        return origin(base64.decodebytes(plain.encode()) if isinstance(plain, str) else plain)
    if origin in _TEXTS or issubclass(origin, os.PathLike):
        return _path(origin)(plain)
    if issubclass(origin, tuple):
        return _tuple_from(plain, annotation, origin, arguments)
    if _hints.is_typed_dict(origin):
        hints = typing.get_type_hints(origin)
        return {key: from_plain(element, hints.get(key, Any)) for key, element in plain.items()}
    if issubclass(origin, collections.abc.Mapping):
        if not isinstance(plain, dict):
            raise _wrong(plain, annotation)
        key_hint, value_hint = arguments or (Any, Any)
        made = {from_plain(key, key_hint): from_plain(element, value_hint) for key, element in plain.items()}
        return made if origin in (dict, collections.abc.Mapping) else _concrete(origin, dict)(made)
    if issubclass(origin, collections.abc.Collection):
        if not isinstance(plain, (list, tuple)):
            raise _wrong(plain, annotation)
        hint = arguments[0] if arguments else Any
        fallback = set if issubclass(origin, collections.abc.Set) else list
        return _concrete(origin, fallback)(from_plain(element, hint) for element in plain)
    raise TypeTransformerFailedError(f"a value of type {_hints.name(annotation)} has no form to travel in")


def _tuple_from(plain: Any, annotation: Any, origin: type, arguments: tuple[Any, ...]) -> Any:
    if not isinstance(plain, (list, tuple)):
        raise _wrong(plain, annotation)
    if _hints.is_named_tuple(origin):
        hints = typing.get_type_hints(origin)
        names = origin._fields  # type: ignore[attr-defined]
        return origin(
            *(from_plain(one, hints.get(name, Any)) for one, name in zip(plain, names, strict=False))
        )
    if not arguments or arguments[-1] is Ellipsis:
        return tuple(from_plain(element, arguments[0] if arguments else Any) for element in plain)
    if len(plain) != len(arguments):
        raise _wrong(plain, annotation)
    return tuple(from_plain(element, hint) for element, hint in zip(plain, arguments, strict=True))


def _concrete(origin: type, fallback: type) -> Any:
    """The class to create: an abstract one, for example `Sequence`, has no instances."""
    return fallback if getattr(origin, "__abstractmethods__", None) else origin


def _path(origin: type) -> Any:
    import pathlib

    return pathlib.Path if origin is os.PathLike else origin


def _timezone(text: str) -> datetime.timezone:
    if text == "UTC":
        return datetime.timezone.utc
    hours, minutes = text[4:].split(":")
    offset = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    return datetime.timezone(-offset if text[3] == "-" else offset)


def _wrong(value: Any, annotation: Any) -> TypeTransformerFailedError:
    return TypeTransformerFailedError(
        f"expected {_hints.name(annotation)}, got {value!r} of type {type(value).__name__}"
    )

"""What an annotation says: its parts, whatever spelling of Python they came in."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

NoneType = type(None)


def bare(annotation: Any) -> Any:
    """The type inside `Annotated[type, ...]`, or the annotation itself."""
    if typing.get_origin(annotation) is typing.Annotated:
        return typing.get_args(annotation)[0]
    return annotation


def is_union(annotation: Any) -> bool:
    """Whether it is `Union[...]`, `Optional[...]` or `a | b`."""
    return typing.get_origin(annotation) is typing.Union or isinstance(annotation, types.UnionType)


def is_optional(annotation: Any) -> bool:
    """Whether `None` is one of its variants."""
    annotation = bare(annotation)
    return is_union(annotation) and NoneType in typing.get_args(annotation)


def is_dataclass(annotation: Any) -> bool:
    """Whether it is a dataclass, or a dataclass with its type parameters filled in."""
    return dataclasses.is_dataclass(dataclass_of(annotation))


def dataclass_of(annotation: Any) -> Any:
    """The class itself of a dataclass with its type parameters filled in, else the bare annotation."""
    annotation = bare(annotation)
    origin = typing.get_origin(annotation)
    if origin is not None and dataclasses.is_dataclass(origin):
        return origin
    return annotation


def is_named_tuple(annotation: Any) -> bool:
    """Whether it is a class made by `NamedTuple`."""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, tuple)
        and isinstance(getattr(annotation, "_fields", None), tuple)
        and hasattr(annotation, "__annotations__")
    )


def is_typed_tuple(annotation: Any) -> bool:
    """Whether it is a tuple of a known number of elements, for example `tuple[int, str]`."""
    arguments = typing.get_args(annotation)
    return typing.get_origin(annotation) is tuple and bool(arguments) and arguments[-1] is not Ellipsis


def is_typed_dict(annotation: Any) -> bool:
    """Whether it is a `TypedDict`, of `typing` or of `typing_extensions`."""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, dict)
        and hasattr(annotation, "__total__")
        and hasattr(annotation, "__annotations__")
    )


def is_pydantic(annotation: Any) -> bool:
    """Whether it is a pydantic model; does not import pydantic."""
    return (
        isinstance(annotation, type)
        and hasattr(annotation, "model_json_schema")
        and hasattr(annotation, "model_validate")
    )


def fields(annotation: Any) -> list[tuple[dataclasses.Field[Any], Any]]:
    """The fields of a dataclass that its constructor takes, each with its type; type parameters are filled in."""
    cls = dataclass_of(annotation)
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = getattr(cls, "__parameters__", ())
    filled = dict(zip(parameters, typing.get_args(bare(annotation)), strict=False))
    return [
        (field, _fill(hints.get(field.name, field.type), filled))
        for field in dataclasses.fields(cls)
        if field.init
    ]


def _fill(annotation: Any, filled: dict[Any, Any]) -> Any:
    if not filled:
        return annotation
    if isinstance(annotation, typing.TypeVar):
        return filled.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if parameters and not isinstance(annotation, type):
        return annotation[tuple(filled.get(parameter, parameter) for parameter in parameters)]
    return annotation


def name(annotation: Any) -> str:
    """How a person writes it: `int`, `list[str]`, `Optional[int]`."""
    if annotation is NoneType:
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("NoneType", "None")

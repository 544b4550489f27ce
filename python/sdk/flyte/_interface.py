"""What a function takes and returns, by its annotations."""

from __future__ import annotations

import enum
import functools
import inspect
import logging
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flyte._docstring import Docstring, parse
from flyte.types import _hints
from flyte.types._simple import LITERAL_ENUM

# Marks an input without a default.
EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class NativeInterface:
    """A task's inputs, each with its type and default, and its outputs with theirs."""

    inputs: dict[str, tuple[Any, Any]]
    outputs: dict[str, Any]
    docstring: Docstring = field(default_factory=Docstring, compare=False)

    @classmethod
    def from_callable(cls, function: Callable[..., Any]) -> NativeInterface:
        """The interface of a function.

        Raises TypeError if the function cannot be a task: it has variable arguments, or its annotations cannot be read.
        """
        name = getattr(function, "__name__", repr(function))
        signature = inspect.signature(function)
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except Exception as error:
            raise TypeError(f"the annotations of {name} cannot be read: {error}") from error
        inputs: dict[str, tuple[Any, Any]] = {}
        for parameter in signature.parameters.values():
            if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                raise TypeError(
                    f"{name} takes any number of arguments (*{parameter.name}): a task has a fixed number of inputs"
                )
            if parameter.annotation is EMPTY:
                logging.getLogger("flyte").warning(
                    "Parameter %s of %s has no type: its value is pickled.", parameter.name, name
                )
            hint = hints.get(parameter.name, Any)
            # `x: int = None` keeps its type. get_type_hints of Python 3.10 would make it optional.
            inputs[parameter.name] = (_named(hint), parameter.default)
        returned = hints.get("return", signature.return_annotation)
        return cls(inputs, _outputs(returned, name), parse(function))

    @property
    def input_types(self) -> dict[str, Any]:
        """The inputs' types."""
        return {name: python_type for name, (python_type, _) in self.inputs.items()}

    def required_inputs(self) -> list[str]:
        """The inputs without a default."""
        return [name for name, (_, default) in self.inputs.items() if default is EMPTY]

    def has_outputs(self) -> bool:
        """Whether the task returns something."""
        return bool(self.outputs)

    def convert_to_kwargs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments of a call by their names.

        Raises TypeError if there are too many, or one is given twice or is unknown.
        """
        names = list(self.inputs)
        if len(args) > len(names):
            raise TypeError(f"{len(args)} arguments were given, {len(names)} are taken: {', '.join(names)}")
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                raise TypeError(f"{name} was given twice")
            if name not in self.inputs:
                raise TypeError(f"unknown input {name}; the inputs are: {', '.join(names) or 'none'}")
            given[name] = value
        return given

    def __repr__(self) -> str:
        def one(name: str, python_type: Any, default: Any) -> str:
            written = f"{name}: {_hints.name(python_type)}"
            return written if default is EMPTY else f"{written} = {default!r}"

        taken = ", ".join(one(name, *what) for name, what in self.inputs.items())
        given = ", ".join(f"{name}: {_hints.name(python_type)}" for name, python_type in self.outputs.items())
        return f"({taken}) -> {f'({given})' if len(self.outputs) != 1 else given}"


def _outputs(returned: Any, function: str) -> dict[str, Any]:
    """The outputs of a function: `o0`, `o1`, … or the fields of a named tuple."""
    if returned in (None, type(None), EMPTY):
        return {}
    if isinstance(returned, str):
        raise TypeError(f"the annotation of what {function} returns cannot be read: {returned!r}")
    if _hints.is_named_tuple(returned):
        hints: Mapping[str, Any] = typing.get_type_hints(returned, include_extras=True)
        return {name: _named(hint) for name, hint in hints.items()}
    parts: tuple[Any, ...] | None = None
    if typing.get_origin(returned) is tuple:
        parts = typing.get_args(returned)
        if Ellipsis in parts:
            raise TypeError(
                f"{function} returns a tuple of any length: return a list, or a tuple of a fixed length"
            )
    elif isinstance(returned, tuple):
        parts = returned
    if parts is None:
        return {"o0": _named(returned)}
    if len(parts) == 1:
        raise TypeError(f"{function} returns a tuple of one: return the value itself")
    return {f"o{index}": _named(hint) for index, hint in enumerate(parts)}


def _named(hint: Any) -> Any:
    """`Literal["a", "b"]` as an enum; other types unchanged."""
    if typing.get_origin(hint) is not typing.Literal:
        return hint
    values = typing.get_args(hint)
    if not all(isinstance(value, str) for value in values):
        return Any
    return _literal_enum(values)


@functools.cache
def _literal_enum(values: tuple[str, ...]) -> Any:
    return enum.Enum(LITERAL_ENUM, {value.upper(): value for value in values})

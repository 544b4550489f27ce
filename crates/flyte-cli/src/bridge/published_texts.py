"""Converts between values of the published SDK and the texts of a command line."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import json
import pathlib
import re
import types
import typing
from collections.abc import Callable
from typing import Any

import click
from flyte_bridge.protocol import Message, Refused
from google.protobuf.json_format import MessageToDict

from flyte._interface import LITERAL_ENUM
from flyte.cli._params import literal_type_to_click_type
from flyte.io import DataFrame, Dir, File
from flyte.types import TypeEngine

EMPTY = inspect.Parameter.empty
_TRUE = {"true", "yes", "on", "1", "t", "y"}
_FALSE = {"false", "no", "off", "0", "f", "n"}
_NONE = {"none", "null"}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60}
_SECONDS |= {"h": 3600, "hour": 3600, "d": 86400, "day": 86400, "w": 604800, "week": 604800}


class Both:
    """A function that can be called directly, or awaited through `aio`, like those of the SDK."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    async def aio(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


# ---- descriptions


def described_inputs(interface: Any) -> list[Message]:
    """The inputs of a task, as `describe` answers."""
    said = interface.docstring.input_descriptions if interface.docstring is not None else {}
    inputs = []
    for name, (python_type, default) in interface.inputs.items():
        bare = _bare(python_type)
        one: Message = {
            "name": name,
            "type": MessageToDict(TypeEngine.to_literal_type(python_type)),
            "python_type": shown_type(python_type),
            "required": default is EMPTY and _assumed(bare) is EMPTY,
            "help": said.get(name) or "",
            "is_list": typing.get_origin(_only(bare)) is list,
        }
        if default is EMPTY and bare is bool:
            default = _assumed(bare)
        if default is not EMPTY:
            one["default"] = show(default)
        options = choices(bare)
        if options is not None:
            one["choices"] = options
        inputs.append(one)
    return inputs


def described_outputs(interface: Any) -> list[Message]:
    """The outputs of a task, as `describe` answers."""
    return [
        {"name": name, "type": MessageToDict(TypeEngine.to_literal_type(one)), "python_type": shown_type(one)}
        for name, one in interface.outputs.items()
    ]


def shown_type(python_type: Any) -> str:
    """A type as people read it."""
    bare = _bare(python_type)
    options = choices(bare)
    if options is not None and bare is not bool:
        return "|".join(options)
    return _name(bare)


def _name(python_type: Any) -> str:
    python_type = _bare(python_type)
    if python_type in (None, type(None)):
        return "None"
    if python_type is Any or python_type is EMPTY:
        return "Any"
    arguments = typing.get_args(python_type)
    if _is_union(python_type):
        return " | ".join(_name(one) for one in arguments)
    name = getattr(typing.get_origin(python_type) or python_type, "__name__", str(python_type))
    if arguments:
        name += "[" + ", ".join("..." if one is Ellipsis else _name(one) for one in arguments) + "]"
    return str(name)


def choices(python_type: Any) -> list[str] | None:
    """The accepted texts, if only a fixed set is accepted."""
    python_type = _only(python_type)
    if isinstance(python_type, type) and issubclass(python_type, enum.Enum):
        return [_member_text(member) for member in python_type]
    return ["true", "false"] if python_type is bool else None


def show(value: Any) -> str:
    """A value as it would be typed, or as near as possible."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g}s"
    found = plain(value)
    return found if isinstance(found, str) else json.dumps(found)


def plain(value: Any) -> Any:
    """A value as JSON, or its `repr` if it has no form in JSON."""
    if isinstance(value, enum.Enum):
        return _member_text(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return show(value)
    if isinstance(value, (File, Dir)):
        return value.path
    if isinstance(value, DataFrame):
        return value.uri if value.uri else repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    return repr(value)


# ---- values


class Texts:
    """Converts texts to values. `upload` makes a local file or directory a URL."""

    def __init__(self, upload: Callable[[pathlib.Path], str]) -> None:
        self.upload = upload

    def values(self, interface: Any, given: Message, local: bool) -> dict[str, Any]:
        """The values of a task's inputs. For a local run, files are not uploaded. Refuses with the name of the wrong input."""
        found = {}
        for name, text in given.items():
            if name not in interface.inputs:
                names = ", ".join(interface.inputs) or "none"
                raise Refused(f"unknown input {name}; the inputs are {names}", name)
            python_type, default = interface.inputs[name]
            try:
                found[name] = self.several(
                    text, _bare(python_type), None if default is EMPTY else default, local
                )
            except click.UsageError as error:
                raise Refused(error.message, name) from None
            except (TypeError, ValueError) as error:
                raise Refused(str(error), name) from None
        for name, (python_type, default) in interface.inputs.items():
            if name in found or default is not EMPTY:
                continue
            assumed = _assumed(_bare(python_type))
            if assumed is EMPTY:
                raise Refused(f"{name} is missing", name)
            found[name] = assumed
        return found

    def several(self, given: Any, python_type: Any, default: Any, local: bool) -> Any:
        """Converts a text, or several for a list."""
        if isinstance(given, str):
            return self.value(given, python_type, default, local)
        element = _only(python_type)
        if typing.get_origin(element) is list:
            if len(given) == 1 and given[0].lstrip().startswith("["):
                return self.value(given[0], python_type, default, local)
            (kind,) = typing.get_args(element) or (str,)
            return [self.value(one, _bare(kind), None, local) for one in given]
        if len(given) == 1:
            return self.value(given[0], python_type, default, local)
        raise ValueError(f"expected one value, got {len(given)}")

    def value(self, given: str, python_type: Any, default: Any, local: bool) -> Any:
        """Converts one text."""
        if _is_union(python_type):
            return self.variant(given, typing.get_args(python_type), default, local)
        if isinstance(python_type, type):
            if issubclass(python_type, enum.Enum):
                return _member(given, python_type)
            if issubclass(python_type, bool):
                return _truth(given)
            if issubclass(python_type, (datetime.datetime, datetime.date)):
                return _moment(given, python_type)
            if issubclass(python_type, datetime.timedelta):
                return _length(given)
        kind = typing.get_origin(python_type) or python_type
        if isinstance(kind, type) and issubclass(kind, (File, Dir)):
            return self.reference(given, kind, local)
        literal_type = TypeEngine.to_literal_type(python_type)
        parameter = literal_type_to_click_type(literal_type, python_type, default_value=default)
        return parameter.convert(given, None, _context(local))

    def variant(self, given: str, variants: tuple[Any, ...], default: Any, local: bool) -> Any:
        """Converts a text to the first variant of a union that accepts it."""
        if type(None) in variants and given.strip().lower() in _NONE:
            return None
        reasons = []
        # Every text is a string, so this variant is the last.
        for variant in sorted((one for one in variants if one is not type(None)), key=lambda one: one is str):
            try:
                return self.value(given, _bare(variant), default, local)
            except click.UsageError as error:
                reasons.append(error.message)
            except (TypeError, ValueError) as error:
                reasons.append(str(error))
        raise ValueError(" or ".join(dict.fromkeys(reasons)))

    def reference(self, given: str, kind: Any, local: bool) -> Any:
        """Makes a file or directory of a path or URL."""
        if "://" in given:
            return kind.from_existing_remote(given)
        is_directory = issubclass(kind, Dir)
        what = "directory" if is_directory else "file"
        path = pathlib.Path(given).expanduser()
        if not path.exists():
            raise _expected(f"the path of a {what}, or a URL", given)
        if path.is_dir() != is_directory:
            raise _expected(f"a {what}", given)
        return kind(path=str(path.absolute())) if local else kind.from_existing_remote(self.upload(path))


def _context(local: bool) -> click.Context:
    """What the SDK's parameters look for in click's context."""
    return click.Context(
        click.Command("run"),
        obj=types.SimpleNamespace(run_args=types.SimpleNamespace(local=local), log_level=50),
    )


def _expected(what: str, given: str) -> ValueError:
    return ValueError(f"expected {what}, got {given!r}")


def _truth(given: str) -> bool:
    word = given.strip().lower()
    if word not in _TRUE | _FALSE:
        raise _expected("true or false", given)
    return word in _TRUE


def _member(given: str, members: type[enum.Enum]) -> Any:
    for member in members:
        if given in (member.name, member.value):
            # The SDK's runtime gives the value itself to a task with a Literal.
            return member.value if members.__name__ == LITERAL_ENUM else member
    raise _expected("one of " + ", ".join(map(_member_text, members)), given)


def _member_text(member: enum.Enum) -> str:
    return str(member.value if type(member).__name__ == LITERAL_ENUM else member.name)


def _moment(given: str, kind: type) -> Any:
    text = given.strip()
    now = datetime.datetime.now(datetime.timezone.utc)
    if text in ("now", "today"):
        return now if issubclass(kind, datetime.datetime) else now.date()
    try:
        return kind.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)  # type: ignore[attr-defined]
    except ValueError:
        example = "2026-01-31T12:00:00Z" if issubclass(kind, datetime.datetime) else "2026-01-31"
        raise _expected(f"a time (for example {example}) or now", given) from None


def _length(given: str) -> datetime.timedelta:
    text = given.strip().lower()
    if text.startswith("p"):
        from flyte.cli._params import parse_iso8601_duration

        return parse_iso8601_duration(given.strip().upper())
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    if re.fullmatch(r"(\d*):(\d+)", text):
        minutes, _, seconds = text.partition(":")
        return sign * datetime.timedelta(minutes=int(minutes or 0), seconds=int(seconds))
    try:
        return datetime.timedelta(seconds=sign * float(text))
    except ValueError:
        pass
    seconds, at = 0.0, 0
    for match in _LENGTH.finditer(text):
        unit = _SECONDS.get(match[2]) or _SECONDS.get(match[2].removesuffix("s"))
        if text[at : match.start()].strip(" ,") or unit is None:
            break
        seconds += float(match[1]) * unit
        at = match.end()
    if not at or text[at:].strip():
        raise _expected("a duration, for example 90s, 1h30m or 2 days", given)
    return datetime.timedelta(seconds=sign * seconds)


# ---- types


def _bare(python_type: Any) -> Any:
    """A type without its annotations."""
    while typing.get_origin(python_type) is typing.Annotated:
        python_type = typing.get_args(python_type)[0]
    return python_type


def _is_union(python_type: Any) -> bool:
    return typing.get_origin(python_type) in (typing.Union, types.UnionType)


def _is_optional(python_type: Any) -> bool:
    return _is_union(python_type) and type(None) in typing.get_args(python_type)


def _assumed(python_type: Any) -> Any:
    """The value of an input that has no default and is not given, as in the published command; EMPTY if it must be given."""
    if python_type is bool:
        return False
    return None if _is_optional(python_type) else EMPTY


def _only(python_type: Any) -> Any:
    """The type itself of an optional one."""
    if not _is_optional(python_type):
        return python_type
    some = [_bare(one) for one in typing.get_args(python_type) if one is not type(None)]
    return some[0] if len(some) == 1 else python_type

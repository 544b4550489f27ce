"""Converts between values and the texts of a command line."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import json
import pathlib
import re
import typing
from collections.abc import Sequence
from typing import Any

from flyte.types import TypeTransformerFailedError, _hints, _records
from flyte.types._pickle import FlytePickle
from flyte.types._simple import LITERAL_ENUM

_TRUE = {"true", "yes", "on", "1", "t", "y"}
_FALSE = {"false", "no", "off", "0", "f", "n"}
_NONE = {"none", "null"}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}
_UNITS |= {
    "week": 604800.0,
    "day": 86400.0,
    "hour": 3600.0,
    "min": 60.0,
    "minute": 60.0,
    "sec": 1.0,
    "second": 1.0,
}


def parse(given: str | Sequence[str] | None, python_type: Any) -> Any:
    """Converts a text, or several for a list, to a value.

    Raises TypeTransformerFailedError saying what is expected.
    """
    python_type = _hints.bare(python_type)
    if given is None:
        return None
    if not isinstance(given, str):
        return _several(list(given), python_type)
    if _hints.is_union(python_type):
        return _variant(given, typing.get_args(python_type))
    origin = typing.get_origin(python_type) or python_type
    if origin is str:
        return given
    if origin is bool:
        word = given.strip().lower()
        if word not in _TRUE | _FALSE:
            raise _expected("true or false", given)
        return word in _TRUE
    if origin in (int, float):
        try:
            return origin(given)
        except ValueError:
            raise _expected("a whole number" if origin is int else "a number", given) from None
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return _member(given, origin)
    if origin is bytes:
        return given.encode()
    if origin in (datetime.datetime, datetime.date):
        return _moment(given, origin)
    if origin is datetime.timedelta:
        return _length(given)
    if python_type in (None, type(None)):
        if given.strip().lower() not in _NONE and given:
            raise _expected("none", given)
        return None
    if isinstance(origin, type) and hasattr(origin, "__flyte_settle__"):
        return _reference(given, origin)
    if origin in (Any, FlytePickle) or (origin is list and not typing.get_args(python_type)):
        return _json_or_text(given)
    return _structured(given, python_type, origin)


def _expected(what: str, given: str) -> TypeTransformerFailedError:
    return TypeTransformerFailedError(f"expected {what}, got {given!r}")


def _several(given: list[str], python_type: Any) -> Any:
    if _hints.is_union(python_type):
        for variant in typing.get_args(python_type):
            if typing.get_origin(variant) is list:
                return _several(given, variant)
        python_type = type(None)
    if typing.get_origin(python_type) is list:
        # One text may be all of it: `[1, 2]`.
        if len(given) == 1 and given[0].lstrip().startswith("["):
            return parse(given[0], python_type)
        element = typing.get_args(python_type)[0]
        return [parse(one, element) for one in given]
    if len(given) == 1:
        return parse(given[0], python_type)
    raise TypeTransformerFailedError(f"expected one value, got {len(given)}")


def _variant(given: str, variants: tuple[Any, ...]) -> Any:
    if type(None) in variants and given.strip().lower() in _NONE:
        return None
    reasons = []
    # A text is whatever else it can be before it is a text.
    for variant in sorted(variants, key=lambda one: one is str):
        if variant is type(None):
            continue
        try:
            return parse(given, variant)
        except TypeError as error:
            reasons.append(str(error))
    raise TypeTransformerFailedError(" or ".join(reasons))


def _member(given: str, members: type[enum.Enum]) -> Any:
    for member in members:
        if given in (member.value if members.__name__ == LITERAL_ENUM else member.name, member.value):
            return member.value if members.__name__ == LITERAL_ENUM else member
    raise _expected("one of " + ", ".join(choices(members) or []), given)


def _moment(given: str, kind: type) -> Any:
    text = given.strip()
    now = datetime.datetime.now(datetime.timezone.utc)
    if text in ("now", "today"):
        return now if kind is datetime.datetime else now.date()
    try:
        text = text[:-1] + "+00:00" if text.endswith("Z") else text
        return kind.fromisoformat(text)  # type: ignore[attr-defined]
    except ValueError:
        example = "2026-01-31T12:00:00Z" if kind is datetime.datetime else "2026-01-31"
        raise _expected(f"a time (for example {example}) or now", given) from None


def _length(given: str) -> datetime.timedelta:
    text = given.strip().lower()
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    try:
        return datetime.timedelta(seconds=sign * float(text))
    except ValueError:
        pass
    seconds, at = 0.0, 0
    for match in _LENGTH.finditer(text):
        if text[at : match.start()].strip(" ,"):
            break
        unit = _UNITS.get(match[2]) or _UNITS.get(match[2].removesuffix("s"))
        if unit is None:
            break
        seconds += float(match[1]) * unit
        at = match.end()
    if not at or text[at:].strip():
        raise _expected("a duration, for example 90s, 1h30m or 2 days", given)
    return datetime.timedelta(seconds=sign * seconds)


def _reference(given: str, kind: Any) -> Any:
    if "://" not in given:
        path = pathlib.Path(given).expanduser()
        if not path.exists():
            what = "directory" if kind._directory else "file"
            raise _expected(f"the path of a {what} that is there, or a URL", given)
        if path.is_dir() != kind._directory:
            raise _expected("a directory" if kind._directory else "a file", given)
        return kind(path=str(path.absolute()))
    return kind(path=given)


def _json_or_text(given: str) -> Any:
    try:
        return json.loads(given)
    except ValueError:
        return given


def _structured(given: str, python_type: Any, origin: Any) -> Any:
    try:
        value = json.loads(given)
    except ValueError as error:
        raise TypeTransformerFailedError(
            f"expected {_hints.name(python_type)} as JSON, got {given!r}: {error}"
        ) from None
    if _hints.is_pydantic(origin):
        from flyte.types._pydantic import validated

        return validated(origin, value)
    if isinstance(origin, type) and issubclass(origin, dict) and not _hints.is_typed_dict(origin):
        return _keys(value, python_type)
    return _records.from_plain(value, python_type)


def _keys(value: Any, python_type: Any) -> Any:
    """JSON has texts as keys alone."""
    arguments = typing.get_args(python_type)
    if not isinstance(value, dict) or not arguments or arguments[0] is str:
        return _records.from_plain(value, python_type)
    return {parse(key, arguments[0]): _records.from_plain(one, arguments[1]) for key, one in value.items()}


def choices(python_type: Any) -> list[str] | None:
    """The accepted texts, if only a fixed set is accepted."""
    python_type = _hints.bare(python_type)
    if _hints.is_union(python_type):
        variants = [one for one in typing.get_args(python_type) if one is not type(None)]
        return choices(variants[0]) if len(variants) == 1 else None
    if isinstance(python_type, type) and issubclass(python_type, enum.Enum):
        literal = python_type.__name__ == LITERAL_ENUM
        return [str(member.value if literal else member.name) for member in python_type]
    return ["true", "false"] if python_type is bool else None


def show(value: Any, python_type: Any) -> str:
    """The value as it would be typed, or as near as can be."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, enum.Enum):
        return str(value.value if type(value).__name__ == LITERAL_ENUM else value.name)
    if isinstance(value, str):
        return value
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g}s"
    if hasattr(value, "__flyte_plain__"):
        return str(value.path)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    try:
        return json.dumps(plain(value, python_type))
    except (TypeError, ValueError):
        return repr(value)


def plain(value: Any, python_type: Any = Any) -> Any:
    """The value as JSON. Raises TypeError if it has no JSON form."""
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return value.value if type(value).__name__ == LITERAL_ENUM else value.name
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.timedelta)):
        return show(value, python_type)
    if hasattr(value, "__flyte_plain__"):
        return value.path
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")

"""Numbers, texts, times, None and enums."""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Callable
from typing import Any

from flyte.types import _hints
from flyte.types._error import TypeTransformerFailedError
from flyte.types._transformer import Literal, LiteralType, TypeTransformer, unpacked

# The name of the enum for `Literal["a", "b"]` in an interface.
LITERAL_ENUM = "LiteralEnum"


class SimpleTransformer(TypeTransformer[Any]):
    """One of the wire's simple types."""

    def __init__(
        self,
        name: str,
        t: Any,
        simple: str,
        write: Callable[[Any], dict[str, Any]],
        read: Callable[[dict[str, Any]], Any],
    ) -> None:
        super().__init__(name, t)
        self._simple = simple
        self._write = write
        self._read = read

    def assert_type(self, t: Any, v: Any) -> None:
        # Users write whole numbers for floats.
        if self._type is float and isinstance(v, int) and not isinstance(v, bool):
            return
        super().assert_type(self._type, v)

    def get_literal_type(self, t: Any) -> LiteralType:
        return {"simple": self._simple}

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        self.assert_type(self._type, python_val)
        return {"scalar": self._write(python_val)}

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        expected = _hints.bare(expected_python_type)
        if expected is not self._type and not (expected is None and self._type is type(None)):
            raise TypeTransformerFailedError(f"{self.name} is not {_hints.name(expected)}")
        scalar = lv.get("scalar", {})
        if "binary" in scalar:
            return self._of_plain(unpacked(lv))
        try:
            value = self._read(scalar)
        except (KeyError, TypeError, ValueError) as error:
            raise TypeTransformerFailedError(f"{lv} is not of type {self.name}") from error
        return value

    def _of_plain(self, plain: Any) -> Any:
        from flyte.types import _records

        if self._type in (datetime.datetime, datetime.date, datetime.timedelta):
            return _records.from_plain(plain, self._type)
        if type(plain) is not self._type:
            raise TypeTransformerFailedError(f"{plain!r} is not of type {self.name}")
        return plain

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        if literal_type.get("simple") == self._simple:
            return self._type
        raise ValueError(f"{literal_type} is not {self.name}")


def _float(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def _read_int(scalar: dict[str, Any]) -> int:
    primitive = scalar["primitive"]
    if "integer" in primitive:
        return int(primitive["integer"])
    # Consoles written in JavaScript know one kind of number.
    return int(float(primitive["floatValue"]))


def _read_float(scalar: dict[str, Any]) -> float:
    primitive = scalar["primitive"]
    return float(primitive["floatValue"] if "floatValue" in primitive else primitive["integer"])


def _read_none(scalar: dict[str, Any]) -> None:
    if "noneType" not in scalar:
        raise ValueError("not None")


def write_timestamp(value: datetime.datetime) -> str:
    """A moment as proto-JSON has it; one without a time zone is in UTC."""
    if value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc)
    text = value.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return text + _fraction(value.microsecond * 1000) + "Z"


def read_timestamp(text: str) -> datetime.datetime:
    """The moment, in UTC, to the microsecond."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    value = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return value + datetime.timedelta(microseconds=int(fraction.ljust(9, "0")[:6] or 0))


def write_duration(value: datetime.timedelta) -> str:
    """A duration in proto-JSON, for example `1.500s`."""
    microseconds = value // datetime.timedelta(microseconds=1)
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    return f"{'-' if microseconds < 0 else ''}{seconds}{_fraction(rest * 1000)}s"


def read_duration(text: str) -> datetime.timedelta:
    """The length of time, to the microsecond."""
    whole, _, fraction = text.removesuffix("s").partition(".")
    sign = -1 if whole.startswith("-") else 1
    microseconds = abs(int(whole)) * 1_000_000 + int(fraction.ljust(9, "0")[:6] or 0)
    return datetime.timedelta(microseconds=sign * microseconds)


def _fraction(nanoseconds: int) -> str:
    if nanoseconds == 0:
        return ""
    digits = f"{nanoseconds:09d}"
    for length in (3, 6):
        if not digits[length:].strip("0"):
            return "." + digits[:length]
    return "." + digits


def _primitive(
    name: str, form: Callable[[Any], Any] = lambda value: value
) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {"primitive": {name: form(value)}}


def simple_transformers() -> list[TypeTransformer[Any]]:
    """Those of the simple types, in the order in which a type on the wire is matched against them."""
    return [
        SimpleTransformer("int", int, "INTEGER", _primitive("integer", str), _read_int),
        SimpleTransformer("float", float, "FLOAT", _primitive("floatValue", _float), _read_float),
        SimpleTransformer("str", str, "STRING", _primitive("stringValue"), lambda s: _text(s["primitive"])),
        SimpleTransformer(
            "datetime",
            datetime.datetime,
            "DATETIME",
            _primitive("datetime", write_timestamp),
            lambda s: read_timestamp(s["primitive"]["datetime"]),
        ),
        SimpleTransformer(
            "date",
            datetime.date,
            "DATETIME",
            _primitive(
                "datetime", lambda d: write_timestamp(datetime.datetime.combine(d, datetime.time.min))
            ),
            lambda s: read_timestamp(s["primitive"]["datetime"]).date(),
        ),
        SimpleTransformer(
            "timedelta",
            datetime.timedelta,
            "DURATION",
            _primitive("duration", write_duration),
            lambda s: read_duration(s["primitive"]["duration"]),
        ),
        SimpleTransformer(
            "bool", bool, "BOOLEAN", _primitive("boolean"), lambda s: _boolean(s["primitive"]["boolean"])
        ),
        SimpleTransformer("none", type(None), "NONE", lambda _: {"noneType": {}}, _read_none),
    ]


def _text(primitive: dict[str, Any]) -> str:
    return str(primitive["stringValue"])


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not a boolean")
    return value


class EnumTransformer(TypeTransformer[enum.Enum]):
    """Enums travel by the names of their members; `Literal["a", "b"]` by its values."""

    def __init__(self) -> None:
        super().__init__("DefaultEnumTransformer", enum.Enum)

    def assert_type(self, t: Any, v: Any) -> None:
        members = _hints.bare(t)
        if isinstance(v, enum.Enum):
            fits = isinstance(v, members)
        else:
            fits = v in [member.name for member in members] or v in [member.value for member in members]
        if not fits:
            raise TypeTransformerFailedError(f"{v!r} is none of {', '.join(_choices(members))}")

    def get_literal_type(self, t: Any) -> LiteralType:
        return {"enumType": {"values": _choices(_hints.bare(t))}}

    async def to_literal(self, python_val: Any, python_type: Any, expected: LiteralType) -> Literal:
        members = _hints.bare(python_type)
        choices = _choices(members)
        if isinstance(python_val, enum.Enum):
            text = python_val.value if members.__name__ == LITERAL_ENUM else python_val.name
        else:
            text = python_val
        if text not in choices:
            raise TypeTransformerFailedError(f"{python_val!r} is none of {', '.join(choices)}")
        return {"scalar": {"primitive": {"stringValue": text}}}

    async def to_python_value(self, lv: Literal, expected_python_type: Any) -> Any:
        members = _hints.bare(expected_python_type)
        scalar = lv.get("scalar", {})
        text = unpacked(lv) if "binary" in scalar else scalar.get("primitive", {}).get("stringValue")
        if members.__name__ == LITERAL_ENUM:
            if text not in _choices(members):
                raise TypeTransformerFailedError(f"{text!r} is none of {', '.join(_choices(members))}")
            return text
        try:
            return members(text) if "binary" in scalar else members[text]
        except (KeyError, ValueError):
            raise TypeTransformerFailedError(f"{text!r} is none of {', '.join(_choices(members))}") from None

    def guess_python_type(self, literal_type: LiteralType) -> Any:
        if "enumType" in literal_type:
            return enum.Enum("DynamicEnum", {value: value for value in literal_type["enumType"]["values"]})
        raise ValueError(f"{literal_type} is not an enum")


def _choices(members: type[enum.Enum]) -> list[str]:
    """The form of the members on the wire.

    Raises TypeTransformerFailedError if the members cannot be distinguished by that.
    """
    name = members.__name__
    values = [member.value for member in members]
    if not values:
        raise TypeTransformerFailedError(f"{name} has no members, so that no value of it can travel")
    if name == LITERAL_ENUM:
        return values
    if not isinstance(values[0], str):
        if issubclass(members, enum.Flag):
            raise TypeTransformerFailedError(
                f"{name} is a Flag: combinations of its members have no name; use an IntEnum, or an int"
            )
        if not issubclass(members, enum.IntEnum):
            raise TypeTransformerFailedError(
                f"{name} has values of type {type(values[0]).__name__}: an enum that travels has texts as values, or is an IntEnum"
            )
    return [member.name for member in members]

"""Types and values, for both packages: what each makes of them is compared.

Run as a program, it prints one JSON object per case with the installed package's type and literal: that is how the published
package is asked, in a process with its own interpreter.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import json
import sys
import typing
from typing import Any, Literal, NamedTuple, Optional, TypedDict, Union

from flyte.io import Dir, File

UTC = datetime.timezone.utc


class Color(enum.Enum):
    RED = "r"
    DARK_BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


@dataclasses.dataclass
class Inner:
    x: int
    y: float = 1.5
    z: str | None = None


@dataclasses.dataclass
class Node:
    value: int
    next: Node | None = None


@dataclasses.dataclass
class Everything:
    inner: Inner
    inners: list[Inner]
    counts: dict[str, int]
    by_number: dict[int, Inner]
    color: Color
    moment: datetime.datetime
    length: datetime.timedelta
    data: bytes
    anything: Any
    file: File
    bare_list: list
    bare_dict: dict
    pair: tuple[int, str]
    numbers: set[int]
    choice: Literal["a", "b"]
    either: int | str
    words: list[str] = dataclasses.field(default_factory=list)
    maybe: Inner | None = None
    made: Inner = dataclasses.field(default_factory=lambda: Inner(1))
    flag: bool = True
    default_color: Color = Color.RED
    day: datetime.date = datetime.date(2024, 1, 1)
    many: tuple[int, ...] = (1, 2)
    raw: bytes = b"abc"
    described: str = dataclasses.field(default="", metadata={"description": "what it is"})


class Point(NamedTuple):
    x: int
    label: str


class Options(TypedDict):
    depth: int
    name: str


EVERYTHING = Everything(
    inner=Inner(1),
    inners=[Inner(2, 3.0, "z"), Inner(-7)],
    counts={"a": 1, "b": 70000},
    by_number={1: Inner(3), 300: Inner(4)},
    color=Color.DARK_BLUE,
    moment=datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    length=datetime.timedelta(days=-1, seconds=1.5),
    data=b"\x00\xff" * 200,
    anything={"q": [1, None, "x"]},
    file=File(path="s3://bucket/key.txt"),
    bare_list=[1, "2"],
    bare_dict={"a": {"b": 2}},
    pair=(1, "s"),
    numbers={5},
    choice="a",
    either="text",
    words=["w" * 40, "é" * 300],
)

# Name: (type, values).
CASES: dict[str, tuple[Any, list[Any]]] = {
    "int": (int, [0, 1, -1, 2**53 + 1, -(2**63), 2**63 - 1]),
    "float": (float, [0.0, 1.5, -2.0, 1e300, float("nan"), float("inf"), float("-inf")]),
    "str": (str, ["", "text", "é\n\U0001f600"]),
    "bool": (bool, [True, False]),
    "none": (type(None), [None]),
    "datetime": (
        datetime.datetime,
        [
            datetime.datetime(2024, 1, 2, 3, 4, 5),
            datetime.datetime(2024, 1, 2, 3, 4, 5, 6000, tzinfo=UTC),
            datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
        ],
    ),
    "date": (datetime.date, [datetime.date(2024, 2, 29), datetime.date(1900, 1, 1)]),
    "timedelta": (
        datetime.timedelta,
        [
            datetime.timedelta(0),
            datetime.timedelta(seconds=1.5),
            datetime.timedelta(days=-3, microseconds=7),
            datetime.timedelta(milliseconds=-1),
        ],
    ),
    "bytes": (bytes, [b"", b"x" * 300]),
    "enum": (Color, [Color.RED, Color.DARK_BLUE]),
    "int enum": (Level, [Level.LOW]),
    "list": (list[int], [[], [1, 2]]),
    "nested list": (list[list[str]], [[["a"], []]]),
    "dict": (dict[str, float], [{}, {"a": 1.5}]),
    "dict of lists": (dict[str, list[int]], [{"a": [1]}]),
    "bare dict": (dict, [{}, {"a": 1, "b": [1.5, None, {"c": True}]}]),
    "dict with numbers as keys": (dict[int, str], [{1: "a", -5: "b"}]),
    "optional": (Optional[int], [None, 5]),
    "optional list": (Optional[list[int]], [None, [1]]),
    "union": (Union[int, str, float], [1, "a", 2.5]),
    "new union": (int | None, [None, 5]),
    "union of structures": (Union[Inner, None], [Inner(1), None]),
    "dataclass": (Inner, [Inner(1), Inner(2, 2.5, "z")]),
    "dataclass of everything": (Everything, [EVERYTHING]),
    "dataclass that has itself": (Node, [Node(1, Node(2))]),
    "list of dataclasses": (list[Inner], [[Inner(1)]]),
    "dict of dataclasses": (dict[str, Inner], [{"a": Inner(1)}]),
    "tuple": (tuple[int, str], [(1, "a")]),
    "list of tuples": (list[tuple[int, str]], [[(1, "a")]]),
    "named tuple": (Point, [Point(1, "a")]),
    "typed dict": (Options, [{"depth": 1, "name": "n"}]),
    "file": (File, [File(path="s3://bucket/a.txt"), File(path="s3://b/c", format="csv", hash="h1")]),
    "dir": (Dir, [Dir(path="s3://bucket/d")]),
    "optional file": (Optional[File], [File(path="s3://bucket/a.txt"), None]),
    "list of files": (list[File], [[File(path="s3://bucket/a.txt")]]),
    "any": (Any, [1, "a", {"b": [1]}]),
    "bare list": (list, [[1, "a"]]),
    "set": (set[int], [{1}]),
}

try:
    import pydantic
except ImportError:
    pydantic = None  # type: ignore[assignment]
else:

    class Part(pydantic.BaseModel):
        size: int
        color: Color = Color.RED

    class Model(pydantic.BaseModel):
        """A model."""

        name: str = pydantic.Field(description="what it is called", min_length=1)
        parts: list[Part] = pydantic.Field(default_factory=list)
        colors: dict[str, Color] = {}
        file: File | None = None
        when: datetime.datetime = datetime.datetime(2024, 1, 1, tzinfo=UTC)

    # The module's annotations are texts.
    Model.model_rebuild()

    CASES["model"] = (
        Model,
        [
            Model(name="n"),
            Model(
                name="n",
                parts=[Part(size=1, color=Color.DARK_BLUE)],
                colors={"a": Color.RED},
                file=File(path="s3://b/f"),
            ),
        ],
    )
    CASES["optional model"] = (Optional[Part], [Part(size=1), None])
    CASES["constrained text"] = (
        typing.Annotated[str, pydantic.Field(pattern="^s3://", description="where")],
        ["s3://b"],
    )
    CASES["constrained optional"] = (
        typing.Annotated[int | None, pydantic.Field(gt=0, title="Count")],
        [1, None],
    )


async def _all() -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    from flyte.types import TypeEngine

    found = {}
    for name, (python_type, values) in CASES.items():
        literal_type = TypeEngine.to_literal_type(python_type)
        literals = [
            MessageToDict(await TypeEngine.to_literal(value, python_type, literal_type)) for value in values
        ]
        found[name] = {"type": MessageToDict(literal_type), "literals": literals}
    return found


if __name__ == "__main__":
    # Pickled classes are distinguished by the module's name, which is the same for both.
    sys.modules["wire_cases"] = sys.modules["__main__"]
    print(json.dumps(asyncio.run(_all())))

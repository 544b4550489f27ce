"""Types and values on the wire: as the published package has them, and back again."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime
import enum
import json
import math
import os
import pathlib
import subprocess
from typing import Any, Optional, Union

import pytest
import wire_cases

from flyte._context import within
from flyte.io import Dir, File
from flyte.remote import _data
from flyte.types import (
    Pickled,
    TypeEngine,
    TypeTransformer,
    TypeTransformerFailedError,
    _msgpack,
    _pickle,
    _simple,
)

PUBLISHED = pathlib.Path(__file__).parents[3] / "target/peers/venv/bin/python"


def literal(value: Any, python_type: Any) -> Any:
    return asyncio.run(TypeEngine.to_literal(value, python_type))


def back(value: Any, python_type: Any) -> Any:
    return asyncio.run(TypeEngine.to_python_value(value, python_type))


def same(one: Any, other: Any) -> bool:
    """Equal, with NaN equal to itself and `True` not equal to `1`."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and bool(one == other)


@pytest.fixture(scope="session")
def published() -> dict[str, Any]:
    """What the published package makes of the cases."""
    home = os.environ.get("CARGO_TARGET_DIR")
    python = pathlib.Path(home, "peers/venv/bin/python") if home else PUBLISHED
    run = subprocess.run(
        [python, wire_cases.__file__],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    return dict(json.loads(run.stdout))


@pytest.mark.parametrize("name", wire_cases.CASES)
def test_the_type_is_the_published_one(name: str, published: dict[str, Any]) -> None:
    assert TypeEngine.to_literal_type(wire_cases.CASES[name][0]) == published[name]["type"]


@pytest.mark.parametrize("name", wire_cases.CASES)
def test_values_are_the_published_ones(name: str, published: dict[str, Any]) -> None:
    python_type, values = wire_cases.CASES[name]
    assert [literal(value, python_type) for value in values] == published[name]["literals"]


@pytest.mark.parametrize("name", wire_cases.CASES)
def test_published_values_are_read(name: str, published: dict[str, Any]) -> None:
    python_type, values = wire_cases.CASES[name]
    for written, value in zip(published[name]["literals"], values, strict=True):
        found = back(written, python_type)
        if isinstance(value, datetime.datetime):
            value = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        assert same(found, value), (found, value)


@pytest.mark.parametrize("name", wire_cases.CASES)
def test_a_type_is_found_for_what_is_on_the_wire(name: str, published: dict[str, Any]) -> None:
    guessed = TypeEngine.guess_python_type(published[name]["type"])
    for written in published[name]["literals"]:
        value = back(written, guessed)
        assert "scalar" in literal(value, guessed) or isinstance(value, (list, dict)) or value is None


def test_a_field_that_does_not_fit_is_named() -> None:
    written = literal({"x": 1}, dict)
    assert back(written, wire_cases.Inner) == wire_cases.Inner(1)
    with pytest.raises(TypeTransformerFailedError, match="field x of Inner"):
        back(literal({"x": "no"}, dict), wire_cases.Inner)
    with pytest.raises(TypeTransformerFailedError, match="field x of Inner is missing"):
        back(literal({}, dict), wire_cases.Inner)
    with pytest.raises(TypeTransformerFailedError, match="element 1"):
        literal([1, "two"], list[int])
    with pytest.raises(TypeTransformerFailedError, match="key 'a'"):
        literal({"a": "one"}, dict[str, int])


@pytest.mark.parametrize(
    ("value", "python_type"),
    [
        (1.5, int),
        ("1", int),
        (True, float),
        (1, str),
        (None, int),
        (1, Optional[str]),
        ("green", wire_cases.Color),
    ],
)
def test_values_of_another_type_are_refused(value: Any, python_type: Any) -> None:
    with pytest.raises(TypeTransformerFailedError):
        literal(value, python_type)


def test_a_whole_number_is_a_float() -> None:
    assert literal(2, float) == {"scalar": {"primitive": {"floatValue": 2.0}}}
    assert back({"scalar": {"primitive": {"integer": "2"}}}, float) == 2.0
    assert back({"scalar": {"primitive": {"floatValue": 2.0}}}, int) == 2


@dataclasses.dataclass
class Cat:
    name: str
    lives: int = 9


@dataclasses.dataclass
class Dog:
    name: str


def test_a_union_knows_its_variants_apart() -> None:
    union = Union[Cat, Dog]
    for value in (Cat("tom"), Dog("rex")):
        assert back(literal(value, union), union) == value
    lists = Union[list[int], list[str]]
    assert back(literal(["a"], lists), lists) == ["a"]
    with pytest.raises(TypeTransformerFailedError, match="more than one"):
        literal([], lists)


def test_enums_that_cannot_travel_are_refused() -> None:
    class Perm(enum.Flag):
        READ = 1

    class Real(enum.Enum):
        HALF = 0.5

    with pytest.raises(TypeTransformerFailedError, match="Flag"):
        TypeEngine.to_literal_type(Perm)
    with pytest.raises(TypeTransformerFailedError, match="IntEnum"):
        TypeEngine.to_literal_type(Real)


def test_custom_type() -> None:
    class Celsius:
        def __init__(self, degrees: float) -> None:
            self.degrees = degrees

    class CelsiusTransformer(TypeTransformer[Celsius]):
        def get_literal_type(self, t: Any) -> Any:
            return {"simple": "FLOAT"}

        async def to_literal(self, python_val: Any, python_type: Any, expected: Any) -> Any:
            return {"scalar": {"primitive": {"floatValue": python_val.degrees}}}

        async def to_python_value(self, lv: Any, expected_python_type: Any) -> Any:
            return Celsius(lv["scalar"]["primitive"]["floatValue"])

    TypeEngine.register(CelsiusTransformer("celsius", Celsius))
    with pytest.raises(ValueError, match="celsius already"):
        TypeEngine.register(CelsiusTransformer("other", Celsius))
    assert back(literal([Celsius(1.5)], list[Celsius]), list[Celsius])[0].degrees == 1.5


@pytest.mark.parametrize(
    "value",
    [
        *[
            sign * 2**bits + more
            for bits in range(64)
            for sign in (1, -1)
            for more in (-1, 0, 1)
            if abs(2**bits) < 2**63
        ],
        2**64 - 1,
        *["x" * length for length in (0, 31, 32, 255, 256, 65535, 65536)],
        *[b"x" * length for length in (0, 255, 256, 65535, 65536)],
        *[[None] * length for length in (0, 15, 16, 65535, 65536)],
        *[dict.fromkeys(range(length), True) for length in (0, 15, 16, 65536)],
        [1.5, float("inf"), -0.0, False, {"a": {1: [b""]}}],
    ],
    ids=lambda value: str(value)[:20],
)
def test_messagepack_is_read_as_it_was_written(value: Any) -> None:
    assert _msgpack.unpack(_msgpack.pack(value)) == value


@pytest.mark.parametrize("data", [b"", b"\x92\x01", b"\x01\x02", b"\xc1", b"\xd9\x05abc", b"\xc7\x00\x01"])
def test_messagepack_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        _msgpack.unpack(data)


@pytest.mark.parametrize("microseconds", [0, 1, -1, 1_500_000, -999_999, 10**15, -(10**15) - 1])
def test_durations_and_moments_are_read_as_they_were_written(microseconds: int) -> None:
    length = datetime.timedelta(microseconds=microseconds)
    assert _simple.read_duration(_simple.write_duration(length)) == length
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + length
    assert _simple.read_timestamp(_simple.write_timestamp(moment)) == moment


class Evil:
    """Records that it was loaded."""

    def __init__(self, trace: pathlib.Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (pathlib.Path.touch, (self.trace,))


PICKLED = {"blob": {"format": "PythonPickle"}}


def outputs_of(value: Any, literal_type: Any) -> Any:
    """What `flyte.remote` makes of a run's only output."""
    task = {
        "taskTemplate": {
            "interface": {"outputs": {"variables": [{"key": "o0", "value": {"type": literal_type}}]}}
        }
    }
    return asyncio.run(_data.outputs({"literals": [{"name": "o0", "value": value}]}, task))[0]


def test_untrusted_pickle_is_loaded_only_on_request(tmp_path: pathlib.Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "file").write_bytes(_pickle.dumps(Evil(trace)))
    inline = {"scalar": {"binary": {"value": base64.b64encode(_pickle.dumps(Evil(trace))).decode()}}}
    in_file = {
        "scalar": {"blob": {"metadata": {"type": {"format": "PythonPickle"}}, "uri": f"{tmp_path}/file"}}
    }
    for written in (inline, in_file):
        value = outputs_of(written, PICKLED)
        (nested,) = outputs_of({"collection": {"literals": [written]}}, {"collectionType": PICKLED})
        assert isinstance(value, Pickled) and isinstance(nested, Pickled) and not trace.exists()
        assert ".load()" in repr(value) and literal(value, Any) == written
        value.load()
        assert trace.exists()
        trace.unlink()
        back(written, Any)
        assert trace.exists(), "a task's own"
        trace.unlink()
    generic = {
        "scalar": {"generic": {"pickle_file": f"{tmp_path}/file"}},
        "metadata": {"format": "pickle"},
    }
    for read in (lambda: outputs_of(generic, {"simple": "STRUCT"}), lambda: back(generic, dict)):
        with pytest.raises(TypeTransformerFailedError, match="in a task of its run alone"):
            read()
    assert not trace.exists()


@dataclasses.dataclass
class Held:
    file: File


def test_what_came_from_a_run_is_not_uploaded_from_here(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/key").write_text("secret")
    uploaded: list[str] = []

    async def upload(what: Any, name: str) -> str:
        uploaded.append(name)
        return f"s3://bucket/{name}"

    file, directory = File(path=str(tmp_path / "mine/key")), Dir(path=str(tmp_path / "mine"))
    written = [literal(file, File), literal(directory, Dir), literal(Held(file), Held)]
    came = [back(one, python_type) for one, python_type in zip(written, (File, Dir, Held), strict=True)]
    found = [*came, *came[1].walk_sync(), came[1].get_file_sync("key")]
    assert came[0] == file
    with within(upload=upload):
        for one in found:
            literal(one, type(one))
        assert uploaded == []
        assert literal(file, File)["scalar"]["blob"]["uri"] == "s3://bucket/key"
        assert literal(File.from_local_sync(tmp_path / "mine/key"), File)
    assert uploaded == ["key", "key"]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out"])
def test_a_file_goes_into_the_directory_that_was_named(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "source").write_text("x")
    (tmp_path / "into").mkdir()
    file = File(path=str(tmp_path / "source"), name=name)
    assert file.download_sync(tmp_path / "into") == str(tmp_path / "into/out")
    for none in ("..", "a/..", "/"):
        with pytest.raises(OSError, match="not a valid file name"):
            File(path=file.path, name=none).download_sync(tmp_path / "into")
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["into", "out", "source"]

"""Tasks: made, called, run in this process, mapped; interfaces and settings."""

from __future__ import annotations

import asyncio
import datetime
import enum
import pathlib
import subprocess
import sys
import threading
from typing import Annotated, Any, Literal, NamedTuple

import pytest

import flyte
import flyte.errors
from flyte._docstring import parse
from flyte._interface import NativeInterface
from flyte._runtime import convert, texts
from flyte.io import Dir, File
from flyte.types import TypeTransformerFailedError

env = flyte.TaskEnvironment(name="tests")
calls: list[Any] = []


@env.task
async def double(x: int) -> int:
    return x * 2


@env.task
def triple(x: int) -> int:
    return x * 3


@env.task
async def both(x: int, y: int = 1) -> tuple[int, str]:
    doubled, tripled = await asyncio.gather(double(x), triple.aio(y))
    return doubled + tripled, flyte.ctx().action.name


@env.task
def blocking(x: int) -> int:
    return triple(x) + triple(x + 1)


@env.task
def deep(n: int) -> int:
    return 0 if n == 0 else 1 + deep(n - 1)


@env.task(retries=flyte.RetryStrategy(3, flyte.Backoff(datetime.timedelta(0))))
async def flaky(fail: int) -> int:
    calls.append(flyte.ctx().data["attempt"])
    if len(calls) <= fail:
        raise ConnectionError("not yet")
    return len(calls)


@env.task(retries=3)
async def hopeless() -> None:
    calls.append(1)
    raise flyte.errors.NonRecoverableError("it never will")


@env.task
async def divide(a: int, b: int) -> float:
    return a / b


@env.task
async def mapped(n: int) -> list[Any]:
    found = []
    async for value in flyte.map.aio(divide, [6] * n, range(n), concurrency=2):
        found.append(str(value) if isinstance(value, Exception) else value)
    return found


@env.task
def mapped_blocking(n: int) -> list[float]:
    with flyte.group("mine"):
        return list(flyte.map(divide, range(n), [1] * n, return_exceptions=False))


@env.task
async def wrong() -> int:
    return "one"  # type: ignore[return-value]


def run(task: Any, **inputs: Any) -> Any:
    found = flyte.with_runcontext(mode="local").run(task, **inputs).outputs()
    return found[0] if len(found) == 1 else tuple(found)


def test_a_task_is_its_function_outside_of_runs() -> None:
    assert triple(2) == 6
    assert asyncio.run(double(2)) == 4
    assert asyncio.run(triple.aio(2)) == 6
    assert list(flyte.map(triple, [1, 2])) == [3, 6]
    assert list(flyte.map(double, [1, 2])) == [2, 4]
    assert not flyte.ctx() and flyte.ctx().action is None


def test_tasks_call_tasks() -> None:
    total, action = run(both, x=5, y=2)
    assert (total, action) == (16, "a0")
    assert run(blocking, x=1) == 9
    assert run(deep, n=40) == 40


def test_a_run_within_a_running_loop() -> None:
    async def within() -> Any:
        return run(both, x=1)[0], (await flyte.with_runcontext(mode="local").aio(blocking, x=1)).outputs()[0]

    assert asyncio.run(within()) == (5, 9)


def test_failed_tasks_are_run_again() -> None:
    calls.clear()
    assert run(flaky, fail=2) == 3
    assert calls == [0, 1, 2]
    calls.clear()
    with pytest.raises(flyte.errors.CustomError, match="not yet") as raised:
        run(flaky, fail=9)
    assert len(calls) == 4 and isinstance(raised.value.__cause__, ConnectionError)
    calls.clear()
    with pytest.raises(flyte.errors.NonRecoverableError):
        run(hopeless)
    assert calls == [1]


def test_map() -> None:
    assert run(mapped, n=4) == ["division by zero", 6.0, 3.0, 2.0]
    assert run(mapped_blocking, n=3) == [0.0, 1.0, 2.0]
    with pytest.raises(TypeError, match="a task is mapped"):
        list(flyte.map(len, [[]]))
    with pytest.raises(TypeError, match="one list for each"):
        list(flyte.map(triple, [1], [2]))


def test_blocking_call_in_a_coroutine_is_an_error() -> None:
    @env.task
    async def outer() -> int:
        return triple(1)

    with pytest.raises(flyte.errors.RuntimeUserError, match=r"triple\.aio"):
        run(outer)


def test_what_is_not_as_annotated_is_refused() -> None:
    with pytest.raises(flyte.errors.RuntimeDataValidationError, match=r"o0 of tests\.wrong"):
        run(wrong)
    with pytest.raises(TypeTransformerFailedError, match="x is not of type int"):
        run(double, x="one")
    with pytest.raises(TypeError, match="x is missing"):
        run(double)
    with pytest.raises(TypeError, match="unknown input z"):
        run(double, x=1, z=2)


def test_children_have_the_same_names_in_each_attempt() -> None:
    from flyte.models import ActionID

    parent = ActionID(name="a0", run_name="r", project="p", domain="d")
    one = parent.child("t", "i", 1, None)
    assert one == parent.child("t", "i", 1, None)
    names = {one.name, parent.child("t", "i", 2, None).name, parent.child("t", "i", 1, "g").name}
    assert len(names) == 3 and all(name.isalnum() and name.islower() for name in names)
    assert (one.run_name, one.project) == ("r", "p")


def test_files_and_directories_in_a_run(tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("a")

    @env.task
    async def write(text: str, given: Dir) -> tuple[File, Dir]:
        file = File.new_remote("out.txt")
        async with file.open("wb") as open_file:
            await open_file.write(text.encode())
        (tmp_path / "made/sub").mkdir(parents=True)
        for one in given.walk_sync():
            (tmp_path / "made/sub" / (one.name or "")).write_text(
                pathlib.Path(one.download_sync()).read_text() * 2
            )
        return file, await Dir.from_local(tmp_path / "made")

    file, directory = run(write, text="hello", given=Dir(path=str(tmp_path / "in")))
    assert pathlib.Path(file.download_sync(tmp_path / "back.txt")).read_text() == "hello"
    assert [one.name for one in directory.walk_sync()] == ["a.txt"]
    assert pathlib.Path(directory.download_sync(), "sub/a.txt").read_text() == "aa"
    assert not str(directory.path).startswith(str(tmp_path))


def test_the_default_environment() -> None:
    @flyte.task
    def one() -> int:
        return 1

    @flyte.task(retries=2, short_name="second")
    async def two(x: int) -> int:
        return x

    assert (one.name, two.name, two.short_name) == ("default.one", "default.two", "second")
    assert run(two, x=3) == 3


def test_overrides_leave_the_task_alone() -> None:
    other = double.override(retries=5, resources=flyte.Resources(cpu=2))
    assert other.retries.count == 5 and double.retries.count == 0  # type: ignore[union-attr]
    assert run(other, x=2) == 4


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: flyte.TaskEnvironment(name="Bad Name"), "small letters"),
        (lambda: flyte.TaskEnvironment(name="a", image=3), "image of the environment a"),  # type: ignore[arg-type]
        (lambda: flyte.TaskEnvironment(name="a", env_vars={"A": 1}), "env_vars"),  # type: ignore[dict-item]
        (lambda: flyte.TaskEnvironment(name="a", depends_on=["b"]), "depends_on"),  # type: ignore[list-item]
        (lambda: flyte.Resources(memory="lots"), "memory must be a quantity"),
        (lambda: flyte.Resources(cpu=("1",)), "cpu is one quantity or a pair"),  # type: ignore[arg-type]
        (lambda: flyte.Resources(gpu="A100:many"), "gpu must be a number"),
        (lambda: flyte.RetryStrategy(-1), "count of a RetryStrategy"),
        (lambda: flyte.Backoff(datetime.timedelta(1), 2.0), "needs a cap"),
        (lambda: flyte.Timeout(-1), "max_runtime"),
        (lambda: flyte.Cache("sometimes"), "behavior"),
        (lambda: flyte.Secret("a", as_env_var="no good"), "environment variable"),
        (lambda: flyte.Image.from_base(""), "needs a name"),
        (lambda: env.task(retries="3")(len), "retries"),  # type: ignore[arg-type]
    ],
)
def test_wrong_settings_are_named(make: Any, expected: str) -> None:
    with pytest.raises((ValueError, TypeError), match=expected):
        make()


class Pair(NamedTuple):
    left: int
    right: Literal["a", "b"]


def test_interfaces() -> None:
    def function(
        a: int, b: Literal["x", "y"] = "x", c: Annotated[str, "said"] = "c", d: int | None = None
    ) -> Pair:
        """One line.

        Args:
            a (int): the first,
                continued
            b: the second
        """
        raise NotImplementedError

    interface = NativeInterface.from_callable(function)
    assert interface.required_inputs() == ["a"]
    assert issubclass(interface.inputs["b"][0], enum.Enum)
    assert list(interface.outputs) == ["left", "right"]
    assert interface.docstring.input_descriptions == {"a": "the first, continued", "b": "the second"}
    with pytest.raises(TypeError, match="any number"):
        NativeInterface.from_callable(lambda *many: None)

    def several() -> tuple[int, ...]: ...

    def single() -> tuple[int]: ...

    for wrong_one in (several, single):
        with pytest.raises(TypeError, match="returns a tuple"):
            NativeInterface.from_callable(wrong_one)


@pytest.mark.parametrize(
    "docstring",
    [
        "Does it.\n\nAt length.\n\nArgs:\n    x: what\n        it is\n    y (int): other\n\nReturns:\n    x: no",
        "Does it.\n\nAt length.\n\n:param x: what\n    it is\n:param int y: other\n:return: no",
        "Does it.\n\nAt length.\n\nParameters\n----------\nx : int\n    what\n    it is\ny\n    other\n\nReturns\n-------\nint\n    no",
    ],
)
def test_docstrings_of_all_styles(docstring: str) -> None:
    def function() -> None: ...

    function.__doc__ = docstring
    said = parse(function)
    assert (said.short_description, said.long_description) == ("Does it.", "At length.")
    assert said.input_descriptions == {"x": "what it is", "y": "other"}


class Shade(enum.Enum):
    LIGHT = "l"
    DARK = "d"


UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("text", "python_type", "value"),
    [
        ("3", int, 3),
        ("3.5", float, 3.5),
        (" text ", str, " text "),
        ("Yes", bool, True),
        ("off", bool, False),
        ("LIGHT", Shade, Shade.LIGHT),
        ("d", Shade, Shade.DARK),
        ("none", int | None, None),
        ("4", int | None, 4),
        ("4", int | str, 4),
        ("four", int | str, "four"),
        (["1", "2"], list[int], [1, 2]),
        ("[1, 2]", list[int], [1, 2]),
        (["[1, 2]"], list[int] | None, [1, 2]),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ('{"1": "a"}', dict[int, str], {1: "a"}),
        ("2024-01-02T03:04:05Z", datetime.datetime, datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02", datetime.date, datetime.date(2024, 1, 2)),
        ("90", datetime.timedelta, datetime.timedelta(seconds=90)),
        ("1h 30m", datetime.timedelta, datetime.timedelta(hours=1.5)),
        ("-2 days", datetime.timedelta, datetime.timedelta(days=-2)),
        ("raw", bytes, b"raw"),
        ('{"a": [1]}', Any, {"a": [1]}),
        ("s3://b/k", File, File(path="s3://b/k")),
    ],
)
def test_texts_stand_for_values(text: Any, python_type: Any, value: Any) -> None:
    assert texts.parse(text, python_type) == value
    if not isinstance(text, list):
        assert texts.parse(texts.show(value, python_type), python_type) == value


@pytest.mark.parametrize(
    ("text", "python_type", "expected"),
    [
        ("3.5", int, "a whole number"),
        ("x", float, "a number"),
        ("perhaps", bool, "true or false"),
        ("GREY", Shade, "one of LIGHT, DARK"),
        ("soon", datetime.datetime, r"a time \(for example"),
        ("1 fortnight", datetime.timedelta, "a duration"),
        ("{", dict[str, int], "as JSON"),
        (["1", "2"], int, "one value"),
        ("/no/such/file", File, "that is there"),
    ],
)
def test_invalid_texts_have_errors(text: Any, python_type: Any, expected: str) -> None:
    with pytest.raises(TypeTransformerFailedError, match=expected):
        texts.parse(text, python_type)


def test_errors_have_the_traceback_of_the_tasks_own_code() -> None:
    with pytest.raises(flyte.errors.CustomError) as raised:
        run(divide, a=1, b=0)
    document = convert.error_document(raised.value)["error"]
    assert (document["code"], document["origin"], document["kind"]) == (
        "ZeroDivisionError",
        "USER",
        "RECOVERABLE",
    )
    lines = document["message"].splitlines()
    assert lines[0] == "division by zero" and lines[-1] == "ZeroDivisionError: division by zero"
    files = [line for line in lines if line.lstrip().startswith("File")]
    assert len(files) == 1 and "test_tasks.py" in files[0]
    assert "kind" not in convert.error_document(flyte.errors.NonRecoverableError("no"))["error"]


def test_many_tasks_that_block_at_once() -> None:
    @env.task
    def wait(n: int) -> int:
        return triple(n)

    @env.task
    async def fan(n: int) -> int:
        return sum([value async for value in flyte.map.aio(wait, range(n))])

    before = threading.active_count()
    assert run(fan, n=50) == 3 * sum(range(50))
    assert threading.active_count() <= before + 3


def test_importing_flyte_is_quick_and_brings_little() -> None:
    code = (
        "import sys, flyte\nbefore = set(sys.modules)\nflyte.TaskEnvironment(name='a').task(lambda: None)\n"
        "heavy = {'pydantic', 'fsspec', 'cloudpickle', 'numpy', 'asyncssh', 'flyte_auth._native'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_triggers() -> None:
    @env.task(
        triggers=flyte.Trigger(
            name="daily",
            automation=flyte.Cron("0 9 * * 1-5", "Europe/London"),
            inputs={"when": flyte.TriggerTime, "n": 3},
            env_vars={"A": "b"},
        )
    )
    def due(when: datetime.datetime, n: int, word: str = "w") -> None: ...

    from flyte._wire import decode, encode

    wire = due.triggers[0].to_wire(due, {})
    found = decode("flyteidl2.task.TaskTrigger", encode("flyteidl2.task.TaskTrigger", wire))
    assert found["automationSpec"]["schedule"] == {
        "cron": {"expression": "0 9 * * 1-5", "timezone": "Europe/London"},
        "kickoffTimeInputArg": "when",
    }
    assert [one["name"] for one in found["spec"]["inputs"]["literals"]] == ["n", "word"]
    assert found["spec"]["inputs"]["context"] == [{"key": "_u_kickoff_time_input_arg", "value": "when"}]
    assert found["spec"]["active"] and found["spec"]["runSpec"]["envs"]["values"] == [
        {"key": "A", "value": "b"}
    ]
    # The value on the machine that runs the task.
    moment = datetime.datetime(2026, 1, 2, tzinfo=UTC)
    given = asyncio.run(convert.from_inputs(due.interface, found["spec"]["inputs"], moment))
    assert given == {"n": 3, "word": "w", "when": moment}
    for inputs, expected in (
        ({"m": 1}, "m"),
        ({"when": flyte.TriggerTime, "n": "x"}, "n is not of type int"),
    ):
        with pytest.raises(flyte.errors.DeploymentError, match=expected):
            flyte.Trigger(name="t", automation=flyte.FixedRate(5), inputs=inputs).to_wire(due, {})
    with pytest.raises(ValueError, match="five fields"):
        flyte.Cron("0 9 * *")
    with pytest.raises(ValueError, match="at least 1"):
        flyte.FixedRate(0)


def test_deployed_tasks_are_called_by_what_is_known_of_them() -> None:
    from flyte._deployed import inputs_of
    from flyte._runtime.spec import Serialization, deployed_spec

    spec = asyncio.run(deployed_spec(both, Serialization(version="1", root=pathlib.Path(__file__).parent)))
    inputs = asyncio.run(inputs_of(spec, (), {"x": 5}, {}))
    assert inputs["literals"] == [
        {"name": "x", "value": {"scalar": {"primitive": {"integer": "5"}}}},
        {"name": "y", "value": {"scalar": {"primitive": {"integer": "1"}}}},
    ]
    for given, expected in (
        ({}, "x is missing"),
        ({"x": 1, "z": 1}, "unknown input z"),
        ({"x": "s"}, "x is not of type"),
    ):
        with pytest.raises(TypeError, match=expected):
            asyncio.run(inputs_of(spec, (), given, {}))

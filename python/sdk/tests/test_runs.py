"""Runs on a real server, as `flyte.remote` sees them: started, followed, read, aborted."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
from collections.abc import Iterator

import pytest

import flyte
from conftest import TARGET, Server, make_key, running, sign_in
from flyte import errors, remote

TASKS = """
import asyncio
import dataclasses

import flyte

env = flyte.TaskEnvironment(name="runs")


@dataclasses.dataclass
class Point:
    x: int
    label: str = "origin"


@env.task
async def scale(point: Point, by: int = 2) -> Point:
    print("scaling", point.label)
    return Point(point.x * by, point.label)


@env.task
async def both(x: int, name: str) -> tuple[int, str]:
    return x, name


@env.task
async def fails(reason: str) -> int:
    raise ValueError(reason)


@env.task
async def counts(to: int) -> None:
    for number in range(to):
        print("line", number, flush=True)
        await asyncio.sleep(0.05)


@flyte.trace
async def counted(path: str, name: str) -> int:
    with open(path, "a") as file:
        file.write(name)
    if name == "bad":
        raise ValueError("not good")
    return len(name)


@flyte.trace
def blocking(path: str) -> Point:
    with open(path, "a") as file:
        file.write("blocking")
    return Point(7)


@env.task(report=True, retries=1)
async def stepwise(path: str) -> list[int]:
    flyte.report.log("<p>the report</p>")
    found = [await counted(path, "first"), blocking(path).x]
    try:
        await counted(path, "bad")
    except ValueError as error:
        found.append(len(str(error)))
    with open(path) as file:
        if file.read().count("bad") == 1:
            raise RuntimeError("once more")
    return found


@env.task
async def sleeps() -> None:
    await asyncio.sleep(300)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that runs tasks with this environment, and a key for it."""
    directory = tmp_path_factory.mktemp("runs")
    (directory / "server").mkdir()
    (directory / "home").mkdir()
    with running(directory / "server", FLYTE_SERVER_RUNNER_PYTHON=str(TARGET / "peers/ours")) as server:
        yield server, make_key(sign_in(server, directory / "home"))


@pytest.fixture
def tasks(place: tuple[Server, str], home: pathlib.Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The module of the tasks, and `flyte` initialized to run them on the server."""
    import importlib
    import sys

    server, key = place
    (home / "tasks_of_runs.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(home))
    sys.modules.pop("tasks_of_runs", None)
    flyte.init(
        api_key=key, ca_cert_file_path=server.ca, project="flytesnacks", domain="development", root_dir=home
    )
    yield importlib.import_module("tasks_of_runs")
    sys.modules.pop("tasks_of_runs", None)
    shutil.rmtree(home)


def test_a_run_is_followed_and_read(tasks) -> None:  # type: ignore[no-untyped-def]
    run = flyte.run(tasks.scale, point=tasks.Point(3, "three"), by=4)
    assert isinstance(run, remote.Run) and run.task_name == "runs.scale"
    phases = [details.phase for details in run.watch()]
    assert phases[-1] == "succeeded" and run.done()
    run.wait()
    (point,) = run.outputs()
    assert (point.x, point.label) == (12, "three")
    assert run.inputs()["by"] == 4 and run.inputs()["point"].x == 3
    assert list(run.get_logs()) == ["scaling three"]
    assert run.end_time is not None and run.runtime.total_seconds() > 0
    assert remote.Run.get(run.name).phase == "succeeded"
    assert run.name in [
        found.name for found in remote.Run.listall(in_phase="succeeded", task_name="runs.scale")
    ]
    assert [action.name for action in run.actions()] == ["a0"]
    assert run.url.endswith(f"/v2/domain/development/project/flytesnacks/runs/{run.name}")
    run.raise_for_status()


def test_outputs_have_their_names(tasks) -> None:  # type: ignore[no-untyped-def]
    run = flyte.run(tasks.both, x=1, name="a")
    run.wait(quiet=True)
    assert run.outputs() == (1, "a") and run.outputs().named_outputs == {"o0": 1, "o1": "a"}


def test_failure_is_shown(tasks, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    run = flyte.run(tasks.fails, reason="the moon is full")
    run.wait()
    assert run.phase == "failed" and "the moon is full" in capsys.readouterr().err
    details = run.details()
    assert details.error_kind == "user" and "the moon is full" in details.error_message
    with pytest.raises(errors.RunFailedError, match="the moon is full"):
        run.raise_for_status()
    with pytest.raises(errors.NotFoundError, match="it is failed"):
        run.outputs()


def test_recorded_steps_are_not_made_again(tasks, tmp_path: pathlib.Path) -> None:  # type: ignore[no-untyped-def]
    run = flyte.run(tasks.stepwise, path=str(tmp_path / "steps"))
    run.wait(quiet=True)
    assert run.phase == "succeeded", run.details().error_message
    assert run.outputs() == ([5, 7, 8],) and run.action.attempts == 2
    # Only the step that failed was made again.
    assert (tmp_path / "steps").read_text() == "firstblockingbadbad"
    actions = {action.name: action for action in run.actions()}
    steps = [action.details() for action in actions.values() if action.parent_name == "a0"]
    assert sorted(step.to_dict()["metadata"]["trace"]["name"] for step in steps) == [
        "blocking",
        "counted",
        "counted",
    ]
    assert sorted(step.phase for step in steps) == ["failed", "succeeded", "succeeded"]
    assert "not good" in next(step for step in steps if step.phase == "failed").error_message
    assert "<p>the report</p>" in run.get_report()
    assert "<p>the report</p>" in run.get_report(attempt=1), "that of the failed attempt"


def test_without_a_report_there_is_none(tasks) -> None:  # type: ignore[no-untyped-def]
    run = flyte.run(tasks.counts, to=0)
    run.wait(quiet=True)
    assert run.outputs() == (None,) and run.outputs().named_outputs == {"o0": None}
    with pytest.raises(errors.NotFoundError):
        run.get_report()


def test_a_run_is_aborted(tasks) -> None:  # type: ignore[no-untyped-def]
    run = flyte.run(tasks.sleeps)
    run.wait(quiet=True, wait_for="running")
    assert run.phase == "running" and not run.done()
    run.abort("had enough")
    run.wait(quiet=True)
    assert run.phase == "aborted" and run.details().error_message == "had enough"


def test_a_deployed_task_is_fetched_and_run(tasks) -> None:  # type: ignore[no-untyped-def]
    flyte.deploy(tasks.env)
    listed = {task.name: task for task in remote.Task.listall(by_task_env="runs")}
    assert {"runs.scale", "runs.both", "runs.fails", "runs.sleeps"} <= set(listed)
    lazy = remote.Task.get("runs.scale", auto_version="latest")
    details = lazy.fetch()
    assert details.version == listed["runs.scale"].version
    assert (list(details.inputs), details.required_args, details.default_input_args) == (
        ["by", "point"],
        ("point",),
        ("by",),
    )
    run = flyte.run(lazy, point=tasks.Point(5))
    run.wait(quiet=True)
    assert run.outputs()[0].x == 10, "its default was used"
    with pytest.raises(TypeError, match="absent"):
        flyte.run(lazy, absent=1)
    with pytest.raises(TypeError, match="point"):
        flyte.run(lazy)
    with pytest.raises(TypeError, match="by their names: by, point"):
        flyte.run(lazy, tasks.Point(5))
    with pytest.raises(errors.RemoteTaskNotFoundError):
        remote.Task.get("runs.absent", auto_version="latest").fetch()


def test_it_is_awaited_too(tasks) -> None:  # type: ignore[no-untyped-def]
    async def work() -> object:
        run = await flyte.run.aio(tasks.both, x=2, name="b")
        await run.wait.aio(quiet=True)
        return await run.outputs.aio()

    assert asyncio.run(work()) == (2, "b")


def test_following_continues_after_an_outage(tasks, place) -> None:  # type: ignore[no-untyped-def]
    run = flyte.run(tasks.counts, to=80)
    lines, phases = [], []
    for line in run.action.get_logs():
        lines.append(line)
        if line == "line 5":
            place[0].crash()
    assert lines == [f"line {number}" for number in range(80)]
    for details in run.watch():
        phases.append(details.phase)
        if len(phases) == 1:
            place[0].crash()
    assert phases[-1] == "succeeded"

"""What scripts for the published package use: traces, reports, contexts, policies, and the ways to run and deploy."""

from __future__ import annotations

import asyncio
import datetime
import logging
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import flyte
import flyte.errors
import flyte.report

env = flyte.TaskEnvironment(name="scripts")
seen: list[Any] = []


@env.task
async def callee() -> dict[str, str]:
    return flyte.get_custom_context()


@flyte.trace
async def fetch(url: str, *, times: int = 1) -> str:
    """Fetches."""
    context = flyte.ctx()
    assert context.action is not None
    seen.append(context.action.name)
    # A task within a step is a function.
    assert await callee() == flyte.get_custom_context()
    return url * times + inner(1)


@flyte.trace
def inner(x: int) -> str:
    seen.append(flyte.ctx().action.name)
    return str(x)


@flyte.trace
def numbers(to: int) -> Iterator[int]:
    yield from range(to)


@flyte.trace
async def words(to: int) -> AsyncIterator[str]:
    for number in range(to):
        yield str(number)


@flyte.trace
async def breaks() -> None:
    raise ValueError("broken")


@flyte.trace
def anything(*values: int) -> int:
    return len(values)


@env.task
async def traced() -> list[str]:
    seen.clear()
    found = [await fetch("u", times=2), await fetch("u", times=2)]
    for number in numbers(2):
        # A generator changes nothing for the code that reads it.
        assert flyte.ctx().action.name == "a0"
        found.append(str(number))
    found += [word async for word in words(2)]
    with pytest.raises(ValueError, match="broken"):
        await breaks()
    return [*found, str(anything(1, 2, 3))]


def run(task: Any, **inputs: Any) -> Any:
    return flyte.with_runcontext(mode="local").run(task, **inputs)


def test_traced_functions_give_what_they_give(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flyte"):
        (found,) = run(traced).outputs()
    assert found == ["uu1", "uu1", "0", "1", "0", "1", "3"]
    assert "a0" not in seen and len(set(seen)) == 4, "each call has its own name"
    assert "Calls of anything are not recorded" in caplog.text
    assert fetch.__name__ == "fetch" and fetch.__doc__ == "Fetches."


def test_outside_of_tasks_traced_functions_are_functions() -> None:
    assert list(numbers(3)) == [0, 1, 2] and anything(1) == 1

    async def collected() -> list[str]:
        return [word async for word in words(2)]

    assert asyncio.run(collected()) == ["0", "1"]


@env.task
async def contexts() -> list[dict[str, str]]:
    found = [await callee()]
    with flyte.custom_context(b="2"):
        found.append(await callee())
        with flyte.custom_context(a="3"):
            found.append(await callee())
    return [*found, flyte.get_custom_context()]


def test_words_travel_to_the_tasks_that_are_called(caplog: pytest.LogCaptureFixture) -> None:
    started = flyte.with_runcontext(mode="local", custom_context={"a": "1"}).run(contexts)
    assert started.outputs()[0] == [{"a": "1"}, {"a": "1", "b": "2"}, {"a": "3", "b": "2"}, {"a": "1"}]
    assert flyte.get_custom_context() == {}
    with caplog.at_level(logging.WARNING, "flyte"), flyte.custom_context(a="1"):
        pass
    assert "no effect outside of tasks" in caplog.text
    with pytest.raises(TypeError, match="a=1"), flyte.custom_context(a=1):  # type: ignore[arg-type]
        pass


@env.task(report=True)
async def reports(fails: bool = False) -> None:
    await flyte.report.log.aio("<p>one</p>")
    flyte.report.get_tab("<Second>").log("<p>two</p>")
    await flyte.report.flush.aio()
    flyte.report.replace("<p>three</p>")
    timeline = flyte.report.Timeline("steps")
    timeline.row(label="<b>", meta=flyte.report.duration_ms("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"))
    if fails:
        raise ValueError("no")


@env.task
def unkept() -> None:
    flyte.report.log("<p>lost</p>")


def test_a_report_is_stored_beside_the_outputs(caplog: pytest.LogCaptureFixture) -> None:
    page = run(reports).get_report()
    assert "<p>three</p>" in page and "<p>one</p>" not in page and "<p>two</p>" in page
    assert "&lt;Second&gt;</button>" in page and "1000 ms" in page and "<b>&lt;b&gt;</b>" in page
    with caplog.at_level(logging.WARNING, "flyte"):
        finished = run(unkept)
    assert "make the task with report=True" in caplog.text
    with pytest.raises(flyte.errors.NotFoundError):
        finished.get_report()
    # Outside of tasks there is no report to write to.
    flyte.report.log("x", do_flush=True)
    assert not flyte.report.current_report().has_content()
    with pytest.raises(ValueError, match="no tab 'x'"):
        flyte.report.get_tab("x", create_if_missing=False)


def test_the_report_of_a_failed_task_is_kept(tmp_path: pathlib.Path) -> None:
    from flyte._run import run_local

    with pytest.raises(flyte.errors.CustomError):
        asyncio.run(run_local(reports, {"fails": True}, base=str(tmp_path)))
    assert "<p>three</p>" in (tmp_path / "a0/1/report.html").read_text()


def test_long_values_are_folded() -> None:
    text = flyte.report.abbreviate("<" * 400, limit=10)
    assert text.startswith("<details>") and "(+390)" in text and "<<" not in text
    assert flyte.report.abbreviate(None) == "" and flyte.report.duration_ms("", "x") == ""


def test_a_task_that_returns_nothing_returns_none() -> None:
    outputs = run(unkept).outputs()
    assert outputs == (None,) and outputs.named_outputs == {"o0": None}


def test_runs_are_awaited() -> None:
    async def awaited() -> Any:
        context = flyte.with_runcontext(mode="local", env_vars=None, labels=None)
        return (await context.run.aio(callee)).outputs()

    assert asyncio.run(awaited()) == ({},)


def test_a_dry_run_runs_nothing(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.clear()
    monkeypatch.chdir(pathlib.Path(__file__).parent)
    for mode in ("local", "remote"):
        dry = flyte.with_runcontext(mode=mode, dry_run=True).run(traced)  # type: ignore[arg-type]
        assert dry.name == "dry-run" and dry.task_spec["taskTemplate"]["id"]["name"] == "scripts.traced"
    assert not seen


def test_triggers_take_positions() -> None:
    trigger = flyte.Trigger("t", flyte.Cron("0 9 * * *"), "nine", False, {"x": 1}, {"A": "b"})
    assert (trigger.description, trigger.auto_activate, trigger.inputs) == ("nine", False, {"x": 1})
    crons = [flyte.Trigger.minutely(), flyte.Trigger.hourly(), flyte.Trigger.daily("when", inputs={"x": 1})]
    crons += [flyte.Trigger.weekly(name="w"), flyte.Trigger.monthly(auto_activate=False)]
    assert [one.automation.expression for one in crons] == [  # type: ignore[union-attr]
        "* * * * *",
        "0 * * * *",
        "0 0 * * *",
        "0 0 * * 0",
        "0 0 1 * *",
    ]
    assert crons[2].inputs == {"when": flyte.TriggerTime, "x": 1}

    @env.task
    async def due(when: datetime.datetime, x: int) -> None: ...

    wire = flyte.Trigger.daily("when", inputs={"x": 1}, max_action_concurrency=2).to_wire(due, {})
    assert wire["spec"]["runSpec"]["maxActionConcurrency"] == 2
    with pytest.raises(flyte.errors.DeploymentError, match="notifications"):
        flyte.Trigger("t", notifications=["mail"]).to_wire(due, {})
    with pytest.raises(ValueError, match="at least 2"):
        flyte.Trigger("t", max_action_concurrency=1)
    with pytest.raises(TypeError, match="automation"):
        flyte.Trigger("t", "0 9 * * *")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"replicas": (3, 1)}, "lower number first"),
        ({"replicas": "2"}, "replicas"),
        ({"replicas": (-1, 1)}, "replicas"),
        ({"concurrency": 0}, "concurrency"),
        ({"idle_ttl": 5}, "idle_ttl"),
        ({"scaledown_ttl": "60"}, "scaledown_ttl"),
        ({"scope": "task"}, "scope"),
    ],
)
def test_wrong_policies_are_named(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        flyte.ReusePolicy(**settings)


def test_policies_are_checked_where_they_are_used() -> None:
    policy = flyte.ReusePolicy(replicas=3, concurrency=2)
    assert (policy.min_replicas, policy.max_replicas, policy.idle_ttl) == (
        3,
        3,
        datetime.timedelta(seconds=30),
    )
    environment = flyte.TaskEnvironment(name="reused", reusable=policy)
    with pytest.raises(ValueError, match="concurrency"):
        environment.task(len)
    with pytest.raises(TypeError, match="reusable"):
        flyte.TaskEnvironment(name="reused", reusable="yes")  # type: ignore[arg-type]


def test_documentation_can_be_given() -> None:
    from flyte._runtime.spec import Serialization, deployed_spec

    @env.task(docs="What it does.")
    async def documented() -> None:
        """Something else."""

    spec = asyncio.run(
        deployed_spec(documented, Serialization(version="1", root=pathlib.Path(__file__).parent))
    )
    assert spec["documentation"] == {"longDescription": "What it does."}
    with pytest.raises(TypeError, match="docs"):
        env.task(docs=3)(lambda: None)


def test_deploying_for_a_notebook_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="notebook"):
        flyte.deploy(env, dry_run=True, interactive_mode=True)
    with pytest.raises(TypeError, match="an app is served"):
        flyte.serve(app_env=env)


@pytest.mark.parametrize(
    ("level", "shown"),
    [(None, ["info", "warning"]), ("WARNING", ["warning"]), ("10", ["debug", "info", "warning"])],
)
def test_the_logger_of_tasks_writes_to_standard_error(level: str | None, shown: list[str]) -> None:
    code = "import flyte\nfor name in ('debug', 'info', 'warning'): getattr(flyte.logger, name)(name)\n"
    code += (
        "import logging; logging.basicConfig(); flyte.logger.error('once'); flyte.system_logger.info('quiet')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"USER_LOG_LEVEL": level} if level else {},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.rpartition(": ")[2] for line in done.stderr.splitlines()]
    assert lines == [*shown, "once"] and not done.stdout

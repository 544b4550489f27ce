"""Triggers: runs of a task that start by themselves, on a schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flyte._task import Task
from flyte.types._simple import write_timestamp

_FIELD = re.compile(r"[\d*/,\-A-Za-z?#]+")
# The key for the name of the input that gets the schedule's time.
_KICKOFF = "_u_kickoff_time_input_arg"


class _TriggerTime:
    """Stands for the time that a trigger fires at, among its inputs."""

    def __repr__(self) -> str:
        return "flyte.TriggerTime"


TriggerTime = _TriggerTime()


@dataclass(frozen=True)
class Cron:
    """A schedule, for example `Cron("0 9 * * 1-5", "Europe/London")`: minute, hour, day, month, weekday.

    Raises ValueError for another number of fields.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        fields = self.expression.split()
        if self.expression.startswith("@"):
            return
        if len(fields) != 5 or not all(map(_FIELD.fullmatch, fields)):
            raise ValueError(
                f"a cron expression has five fields (minute, hour, day, month, weekday), not {self.expression!r}"
            )

    def to_wire(self) -> dict[str, Any]:
        """The `expression` of `flyteidl2.task.Schedule`."""
        return {"cron": {"expression": self.expression, "timezone": self.timezone}}


@dataclass(frozen=True)
class FixedRate:
    """Every so many minutes, from `start_time` on. Raises ValueError for less than one minute."""

    interval_minutes: int
    start_time: datetime | None = None

    def __post_init__(self) -> None:
        if self.interval_minutes < 1:
            raise ValueError(f"interval_minutes of a FixedRate is at least 1, not {self.interval_minutes}")

    def to_wire(self) -> dict[str, Any]:
        """The `expression` of `flyteidl2.task.Schedule`."""
        rate: dict[str, Any] = {"value": self.interval_minutes, "unit": "FIXED_RATE_UNIT_MINUTE"}
        if self.start_time is not None:
            rate["startTime"] = write_timestamp(self.start_time)
        return {"rate": rate}


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """Starts a task with these inputs, by a schedule; without a schedule, when a user fires it: `@env.task(triggers=flyte.Trigger(...))`.

    An input that is `flyte.TriggerTime` takes the time that it fires at. With `auto_activate=False` it waits to be activated.
    """

    name: str
    automation: Cron | FixedRate | None = None
    description: str = ""
    auto_activate: bool = True
    inputs: Mapping[str, Any] = field(default_factory=dict)
    env_vars: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    interruptible: bool | None = None
    overwrite_cache: bool = False
    queue: str | None = None
    custom_context: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a trigger needs a name")

    def to_wire(self, task: Task[Any, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """`flyteidl2.task.TaskTrigger`, for a task and its spec.

        Raises DeploymentError for an input that the task has not, or that is of another type.
        """
        from flyte._threads import run_coroutine
        from flyte.errors import DeploymentError

        unknown = sorted(set(self.inputs) - set(task.interface.inputs))
        if unknown:
            raise DeploymentError(
                f"the trigger {self.name} has inputs that {task.name} has not: {', '.join(unknown)}"
            )
        times = [name for name, value in self.inputs.items() if value is TriggerTime]
        if len(times) > 1 or (times and self.automation is None):
            raise DeploymentError(
                f"the trigger {self.name} has one flyte.TriggerTime at most, and a schedule with it"
            )
        try:
            inputs = run_coroutine(self._inputs(task, times))
        except TypeError as error:
            raise DeploymentError(f"the trigger {self.name} of {task.name}: {error}") from error
        context = dict(self.custom_context) | ({_KICKOFF: times[0]} if times else {})
        if context:
            inputs["context"] = [{"key": key, "value": value} for key, value in context.items()]
        run: dict[str, Any] = {"overwriteCache": self.overwrite_cache}
        if self.env_vars:
            run["envs"] = {"values": [{"key": key, "value": value} for key, value in self.env_vars.items()]}
        for name, values in (("labels", self.labels), ("annotations", self.annotations)):
            if values:
                run[name] = {"values": dict(values)}
        if self.interruptible is not None:
            run["interruptible"] = self.interruptible
        if self.queue:
            run["queue"] = self.queue
        automation: dict[str, Any] = {"type": "TYPE_NONE"}
        if self.automation is not None:
            schedule = self.automation.to_wire() | ({"kickoffTimeInputArg": times[0]} if times else {})
            automation = {"type": "TYPE_SCHEDULE", "schedule": schedule}
        spec = {
            "active": self.auto_activate,
            "inputs": inputs,
            "runSpec": run,
            "description": self.description,
        }
        return {"name": self.name, "spec": spec, "automationSpec": automation}

    async def _inputs(self, task: Task[Any, Any], times: list[str]) -> dict[str, Any]:
        from flyte._interface import NativeInterface
        from flyte._runtime.convert import to_inputs

        bound = {name: what for name, what in task.interface.inputs.items() if name not in times}
        given = {name: value for name, value in self.inputs.items() if name not in times}
        return await to_inputs(NativeInterface(bound, {}), given)

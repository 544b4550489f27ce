"""Triggers: runs of a task that start by themselves, on a schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Trigger:
    """Starts a task with these inputs, by a schedule; without a schedule, when a user fires it: `@env.task(triggers=flyte.Trigger(...))`.

    An input that is `flyte.TriggerTime` takes the time that it fires at. With `auto_activate=False` it waits to be activated.
    `Trigger.hourly()`, `daily()`, `weekly()`, `monthly()` and `minutely()` make usual ones; the first argument of these is the input
    that takes the time.

    Raises ValueError for a missing name, or a `max_action_concurrency` of 1, with which a task that calls another waits forever.
    """

    name: str
    automation: Cron | FixedRate | None = None
    description: str = ""
    auto_activate: bool = True
    inputs: Mapping[str, Any] | None = None
    env_vars: Mapping[str, str] | None = None
    interruptible: bool | None = None
    overwrite_cache: bool = False
    queue: str | None = None
    max_action_concurrency: int | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    # Deploying a trigger that has some is refused.
    notifications: Any = None
    custom_context: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a trigger needs a name")
        if self.automation is not None and not isinstance(self.automation, (Cron, FixedRate)):
            raise TypeError(
                f"automation of the trigger {self.name} is a Cron or a FixedRate, not {self.automation!r}"
            )
        most = self.max_action_concurrency
        if most is not None and (most < 0 or most == 1):
            raise ValueError(
                f"max_action_concurrency of the trigger {self.name} is 0 (no limit of its own) or at least 2, not {most}"
            )
        if len(self.description) > 255:
            object.__setattr__(self, "description", self.description[:252] + "...")

    @classmethod
    def minutely(
        cls, trigger_time_input_key: str | None = None, *, name: str = "minutely", **settings: Any
    ) -> Trigger:
        """Starts the task every minute."""
        return cls._scheduled("* * * * *", "every minute", trigger_time_input_key, name, settings)

    @classmethod
    def hourly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "hourly", **settings: Any
    ) -> Trigger:
        """Starts the task at the beginning of each hour."""
        return cls._scheduled("0 * * * *", "every hour", trigger_time_input_key, name, settings)

    @classmethod
    def daily(
        cls, trigger_time_input_key: str | None = None, *, name: str = "daily", **settings: Any
    ) -> Trigger:
        """Starts the task each day at midnight, UTC."""
        return cls._scheduled("0 0 * * *", "daily at midnight", trigger_time_input_key, name, settings)

    @classmethod
    def weekly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "weekly", **settings: Any
    ) -> Trigger:
        """Starts the task on Sundays at midnight, UTC."""
        return cls._scheduled("0 0 * * 0", "on Sundays at midnight", trigger_time_input_key, name, settings)

    @classmethod
    def monthly(
        cls, trigger_time_input_key: str | None = None, *, name: str = "monthly", **settings: Any
    ) -> Trigger:
        """Starts the task on the first day of each month at midnight, UTC."""
        return cls._scheduled(
            "0 0 1 * *", "on the first of each month at midnight", trigger_time_input_key, name, settings
        )

    @classmethod
    def _scheduled(
        cls, expression: str, when: str, key: str | None, name: str, settings: Mapping[str, Any]
    ) -> Trigger:
        inputs = {**({key: TriggerTime} if key else {}), **(settings.get("inputs") or {})}
        given = {"description": f"A trigger that runs {when}", **settings, "inputs": inputs}
        return cls(name, Cron(expression), **given)

    def to_wire(self, task: Task[Any, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """`flyteidl2.task.TaskTrigger`, for a task and its spec.

        Raises DeploymentError for an input that the task has not, or that is of another type.
        """
        from flyte._threads import run_coroutine
        from flyte.errors import DeploymentError

        given = self.inputs or {}
        if self.notifications:
            raise DeploymentError(
                f"the trigger {self.name} has notifications, and this package does not send any: remove them, or deploy it with the published package"
            )
        unknown = sorted(set(given) - set(task.interface.inputs))
        if unknown:
            raise DeploymentError(
                f"the trigger {self.name} has inputs that {task.name} has not: {', '.join(unknown)}"
            )
        times = [name for name, value in given.items() if value is TriggerTime]
        if len(times) > 1 or (times and self.automation is None):
            raise DeploymentError(
                f"the trigger {self.name} has one flyte.TriggerTime at most, and a schedule with it"
            )
        try:
            inputs = run_coroutine(self._inputs(task, times))
        except TypeError as error:
            raise DeploymentError(f"the trigger {self.name} of {task.name}: {error}") from error
        context = dict(self.custom_context or {}) | ({_KICKOFF: times[0]} if times else {})
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
        if self.max_action_concurrency:
            run["maxActionConcurrency"] = self.max_action_concurrency
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
        given = {name: value for name, value in (self.inputs or {}).items() if name not in times}
        return await to_inputs(NativeInterface(bound, {}), given)

"""How long a task may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Union


@dataclass(frozen=True)
class Timeout:
    """Bounds in seconds, or as `timedelta`; None and 0 mean none.

    `max_runtime` is for each attempt's running, `max_queued_time` for each attempt's waiting, `deadline` for all of it together.
    Raises ValueError for a negative time.
    """

    max_runtime: timedelta | int | None = None
    max_queued_time: timedelta | int | None = None
    deadline: timedelta | int | None = None

    def __post_init__(self) -> None:
        for name in ("max_runtime", "max_queued_time", "deadline"):
            value = seconds(getattr(self, name))
            if value is not None and value < timedelta(0):
                raise ValueError(f"{name} of a Timeout is not negative")


TimeoutType = Union[Timeout, timedelta, int]  # noqa: UP007


def seconds(value: timedelta | int | None) -> timedelta | None:
    """The time, or None if there is no limit."""
    if value is None:
        return None
    value = timedelta(seconds=value) if isinstance(value, (int, float)) else value
    return value or None


def timeout_of(timeout: TimeoutType | None) -> Timeout:
    """The bounds that a task's `timeout` names: a bare time bounds each attempt's running.

    Raises ValueError for anything else.
    """
    if timeout is None:
        return Timeout()
    if isinstance(timeout, Timeout):
        return timeout
    if isinstance(timeout, (int, timedelta)):
        return Timeout(max_runtime=timeout)
    raise ValueError(f"timeout is a number of seconds, a timedelta or a flyte.Timeout, not {timeout!r}")

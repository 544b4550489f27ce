"""Reuse of containers, as the published package describes it. This package does not reuse containers, and says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

# The shortest time after which an unused container ends.
_SHORTEST = timedelta(seconds=30)


@dataclass
class ReusePolicy:
    """How containers would be reused: how many there are, how many tasks each runs at a time, and when unused ones end.

    This package starts each task in a container or process of its own, so a policy has no effect. Running or deploying a task with
    one warns about that.

    Raises ValueError naming the field that is wrong.
    """

    replicas: int | tuple[int, int] = 2
    idle_ttl: int | timedelta = 30
    concurrency: int = 1
    scaledown_ttl: int | timedelta = 30
    scope: Literal["global", "run"] = "global"

    def __post_init__(self) -> None:
        if self.scope not in ("global", "run"):
            raise ValueError(f"scope of a ReusePolicy is global or run, not {self.scope!r}")
        replicas = (self.replicas, self.replicas) if isinstance(self.replicas, int) else self.replicas
        if not (
            isinstance(replicas, tuple)
            and len(replicas) == 2
            and all(isinstance(count, int) and count >= 0 for count in replicas)
        ):
            raise ValueError(
                f"replicas of a ReusePolicy is a number, or the least and the most, not {self.replicas!r}"
            )
        if replicas[0] > replicas[1]:
            raise ValueError(f"replicas of a ReusePolicy has the lower number first, not {self.replicas!r}")
        self.replicas = replicas
        if not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise ValueError(f"concurrency of a ReusePolicy is at least 1, not {self.concurrency!r}")
        self.idle_ttl = _time("idle_ttl", self.idle_ttl)
        self.scaledown_ttl = _time("scaledown_ttl", self.scaledown_ttl)
        if self.max_replicas == 1 and self.concurrency == 1:
            logging.getLogger("flyte").warning(
                "A ReusePolicy with one replica and a concurrency of 1 has no room for tasks that a task calls."
            )

    @property
    def min_replicas(self) -> int:
        """The least number of containers."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas[0]

    @property
    def max_replicas(self) -> int:
        """The most containers."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas[1]

    def get_scaledown_ttl(self) -> timedelta:
        """The time after which one unused container ends."""
        return _time("scaledown_ttl", self.scaledown_ttl)


def _time(name: str, value: int | timedelta) -> timedelta:
    if isinstance(value, int):
        value = timedelta(seconds=value)
    if not isinstance(value, timedelta):
        raise ValueError(f"{name} of a ReusePolicy is a number of seconds or a timedelta, not {value!r}")
    if value < _SHORTEST:
        raise ValueError(f"{name} of a ReusePolicy is at least 30 seconds, not {value.total_seconds():g}")
    return value

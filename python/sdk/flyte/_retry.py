"""How often, and how soon, a failed task is run again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Backoff:
    """The wait before the n-th retry, counted from 0: `base * factor**n`, at most `cap`.

    Raises ValueError for a negative time, a factor below 1, and a growing wait without a cap.
    """

    base: timedelta
    factor: float = 1.0
    cap: timedelta | None = None

    def __post_init__(self) -> None:
        if self.base < timedelta(0) or (self.cap is not None and self.cap < timedelta(0)):
            raise ValueError("base and cap of a Backoff are not negative")
        if not math.isfinite(self.factor) or self.factor < 1:
            raise ValueError(f"factor of a Backoff is at least 1, not {self.factor!r}")
        if self.factor > 1 and self.cap is None:
            raise ValueError("a Backoff that grows (factor above 1) needs a cap")

    def compute_delay(self, n: int) -> timedelta:
        """The wait before the n-th retry, counted from 0."""
        try:
            delay = self.base * self.factor**n
        except OverflowError:
            return self.cap or self.base
        return delay if self.cap is None else min(delay, self.cap)


@dataclass(frozen=True)
class RetryStrategy:
    """Runs a failed task up to `count` times more. Raises ValueError if the count is negative or not a whole number."""

    count: int
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 0:
            raise ValueError(f"count of a RetryStrategy is a whole number from 0, not {self.count!r}")


def retry_strategy(retries: int | RetryStrategy) -> RetryStrategy:
    """The strategy that a task's `retries` names. Raises ValueError for anything else than a number or a strategy."""
    if isinstance(retries, RetryStrategy):
        return retries
    if isinstance(retries, int):
        return RetryStrategy(retries)
    raise ValueError(f"retries is a number or a flyte.RetryStrategy, not {retries!r}")

"""Continues to follow a run or log while the control plane is away for a short time."""

from __future__ import annotations

import logging
import time
from typing import Any

from flyte import errors
from flyte._session import Message
from flyte_auth._dual import Waiting, pause

# How long the control plane can be away until following ends, and until a message is shown, in seconds.
PATIENCE, _QUIET = 60.0, 2.0
# The first and the longest pause between two tries. Each pause is twice as long as the previous one.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0

log = logging.getLogger("flyte")
clock = time.monotonic


class Outage:
    """Tracks how long the control plane has been away while a run or log is followed.

    `hint` says how to follow it again.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._since: float | None = None
        self._reported = False
        self._worked = False
        self._pause = _FIRST_PAUSE

    def answered(self) -> None:
        """The control plane has answered."""
        if self._reported:
            log.warning("the control plane answers again")
        self._since, self._reported, self._worked, self._pause = None, False, True, _FIRST_PAUSE

    def failed(self, error: errors.FlyteError) -> Waiting[None]:
        """Waits before the next try; to be awaited in a dual function.

        Raises the error if it does not go away by itself, or `flyte.errors.UnavailableError` if it has not for a minute.
        """
        if isinstance(error, errors.AuthenticationError) and self._worked:
            # The token has expired: the next try renews it.
            self._worked = False
            return pause(0)
        if not error._temporary:
            raise error
        now = clock()
        if self._since is None:
            self._since = now
        away = now - self._since
        if away >= PATIENCE:
            raise errors.UnavailableError(error.message, self._hint, "unavailable") from error
        if away >= _QUIET and not self._reported:
            self._reported = True
            log.warning("%s; retrying for up to a minute", error.message)
        # The pause must not delay the message or skip the last try.
        until = PATIENCE if self._reported else _QUIET
        chosen = min(self._pause, max(until - away, 0.01))
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return pause(chosen)


def _moment(line: Message) -> tuple[str, str] | None:
    """The time of a line in a form that can be compared: fractions have three, six, nine or no digits."""
    timestamp = str(line.get("timestamp") or "").removesuffix("Z")
    seconds, _, fraction = timestamp.partition(".")
    return (seconds, fraction.ljust(9, "0")) if seconds else None


class Position:
    """How far a log was read. No log has positions in the protocol: it is sent from its first line each time."""

    def __init__(self) -> None:
        self._first: Message | None = None
        self._read = 0
        # The latest time of a line that was read, and how many lines have it.
        self._latest: tuple[Any, int] | None = None
        self._undecided = False
        # How many more lines are known. A log is only appended to, so that this is exact.
        self._counted = 0
        # Lines before this time are known, and so many of exactly this time: the log has lost its beginning since.
        self._before: tuple[Any, int] | None = None

    def begin_again(self) -> None:
        """The log is read from its beginning again."""
        self._undecided, self._counted, self._before = self._read > 0, 0, None

    def is_new(self, line: Message) -> bool:
        """Whether the next line was not read before. It counts as read then."""
        at = _moment(line)
        if self._undecided:
            self._undecided = False
            if line == self._first:
                self._counted = self._read
            else:
                self._before = self._latest
        if self._counted:
            self._counted -= 1
            return False
        if self._before is not None and at is not None:
            latest, left = self._before
            if at < latest:
                return False
            if at == latest and left:
                self._before = (latest, left - 1)
                return False
            self._before = None
        if self._first is None:
            self._first = line
        self._read += 1
        if at is not None:
            if self._latest is None or at > self._latest[0]:
                self._latest = (at, 1)
            elif at == self._latest[0]:
                self._latest = (at, self._latest[1] + 1)
        return True

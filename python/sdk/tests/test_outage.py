"""Following something on a control plane that is away for a while."""

from __future__ import annotations

import logging

import pytest

from flyte import _outage, errors
from flyte._outage import Outage, Position


def away() -> errors.UnavailableError:
    error = errors.UnavailableError("cannot read logs: refused", "", "unavailable")
    error._temporary = True
    return error


class Clock:
    """A clock that only pauses move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(_outage, "clock", lambda: self.now)
        monkeypatch.setattr(_outage, "pause", self._pause)

    def _pause(self, seconds: float) -> None:
        self.now += seconds


def test_a_minute_is_waited_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, outage = Clock(monkeypatch), Outage("Follow it again: x")
    with caplog.at_level(logging.WARNING, "flyte"), pytest.raises(errors.UnavailableError) as ended:
        while True:
            outage.failed(away())
            assert bool(caplog.records) == (clock.now > 2)
    assert 60 <= clock.now < 61 and ended.value.hint == "Follow it again: x"
    assert len(caplog.records) == 1 and "refused" in caplog.text


def test_an_answer_begins_another_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, outage = Clock(monkeypatch), Outage("")
    for _ in range(3):
        began = clock.now
        while clock.now - began < 50:
            outage.failed(away())
        outage.answered()
    assert [record.getMessage() for record in caplog.records][1::2] == ["the control plane answers again"] * 3


def test_what_does_not_go_away_is_raised_at_once_and_a_token_is_renewed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Clock(monkeypatch)
    outage = Outage("")
    missing = errors.NotFoundError("no such run", "", "not_found")
    with pytest.raises(errors.NotFoundError):
        outage.failed(missing)
    ended = errors.AuthenticationError("token expired", "", "unauthenticated")
    with pytest.raises(errors.AuthenticationError):
        outage.failed(ended)
    outage.answered()
    outage.failed(ended)
    with pytest.raises(errors.AuthenticationError):
        outage.failed(ended)


def readings(*logs: list[tuple[str, str]]) -> list[list[str]]:
    """What is new of each of several readings of one log."""
    position = Position()
    found = []
    for log in logs:
        position.begin_again()
        lines = [{"message": text, **({"timestamp": at} if at else {})} for at, text in log]
        found.append([line["message"] for line in filter(position.is_new, lines)])
    return found


def test_log_continues_after_an_outage() -> None:
    a, b, c = ("", "a"), ("", "a"), ("", "c")
    assert readings([a, b], [a, b, c], [a], [a, b, c, a]) == [["a", "a"], ["c"], [], ["a"]]
    assert readings([], [a]) == [[], ["a"]]


def test_truncated_log_continues_by_its_times() -> None:
    at = "2026-11-25T08:00:0{}Z".format
    whole = [(at(1), "a"), (at(2), "b"), (at("2.500"), "c"), (at("2.500"), "d")]
    later = [(at(2), "earlier lines are not kept"), *whole[1:], (at("2.500"), "e"), (at("2.500001"), "f")]
    assert readings(whole, later)[1] == ["e", "f"]
    assert readings(whole, [(at(5), "gone"), (at(6), "h")])[1] == ["gone", "h"]

"""What listings ask for: filters and orders in the control plane's words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from flyte._session import Message

SortBy = tuple[str, Literal["asc", "desc"]]

# `flyteidl2.common.ActionPhase`; requests have the number as text, answers the name.
PHASES = (
    "unspecified",
    "queued",
    "waiting_for_resources",
    "initializing",
    "running",
    "succeeded",
    "failed",
    "aborted",
    "timed_out",
    "paused",
    "recovered",
)
TERMINAL = frozenset({"succeeded", "failed", "aborted", "timed_out", "recovered"})


@dataclass(frozen=True)
class TimeFilter:
    """A span of time: at or after `after`, before `before`."""

    after: datetime | None = None
    before: datetime | None = None


def sort(sort_by: SortBy | None, default: SortBy = ("created_at", "asc")) -> Message:
    """`flyteidl2.common.Sort` of a field and `asc` or `desc`."""
    key, direction = sort_by or default
    return {"key": key, "direction": "DESCENDING" if direction == "desc" else "ASCENDING"}


def equal(field: str, *values: str | None) -> list[Message]:
    """A filter for one of these values; no filter without values."""
    wanted = [value for value in values if value]
    if not wanted:
        return []
    return [{"function": "EQUAL" if len(wanted) == 1 else "VALUE_IN", "field": field, "values": wanted}]


def within(field: str, span: TimeFilter | None) -> list[Message]:
    """Filters for a span of time."""
    filters = []
    if span is not None and span.after is not None:
        filters.append(_compared("GREATER_THAN_OR_EQUAL", field, span.after))
    if span is not None and span.before is not None:
        filters.append(_compared("LESS_THAN", field, span.before))
    return filters


def _compared(function: str, field: str, when: datetime) -> Message:
    return {"function": function, "field": field, "values": [when.astimezone(timezone.utc).isoformat()]}


def in_phase(phases: str | Iterable[Any] | None) -> list[Message]:
    """A filter for phases, by name (`running`) or enumeration.

    Raises ValueError for a phase that there is none of.
    """
    if not phases:
        return []
    names = [phases] if isinstance(phases, str) else list(phases)
    return equal("phase", *(str(PHASES.index(_name(name))) for name in names))


def _name(phase: Any) -> str:
    name = str(getattr(phase, "value", phase)).lower().removeprefix("action_phase_")
    if name not in PHASES:
        raise ValueError(f"unknown phase {name!r}; the phases are {', '.join(PHASES[1:])}")
    return name


def phase_of(message: Message) -> str:
    """The phase in an `ActionStatus`, for example `running`."""
    name = str(message.get("phase", "")).lower().removeprefix("action_phase_")
    return name if name in PHASES else "unspecified"


def request_page(request: Message, size: int, token: str) -> None:
    """Writes a page into a request that holds a `flyteidl2.common.ListRequest`."""
    request["request"] |= {"limit": size, "token": token}

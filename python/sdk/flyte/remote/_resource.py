"""What all resources share: they hold the message that the control plane sent, and show it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar
from urllib.parse import quote

from flyte._initialize import session
from flyte._session import Message, Session

R = TypeVar("R", bound="Resource")

# Items in a page when more are wanted.
PAGE = 100


class Resource:
    """A resource of the control plane. Two are equal if the control plane's answers are equal."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self._message: Message = dict(message)

    def to_dict(self) -> Message:
        """What the control plane said, as in proto-JSON: names in camelCase, 64-bit integers and times as text."""
        copy: Message = json.loads(json.dumps(self._message))
        return copy

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self._message)

    def _columns(self) -> list[tuple[str, Any]]:
        """What is shown of it, in order."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._message == other._message

    def __hash__(self) -> int:
        return hash((type(self), self.to_json()))

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{name}={value!r}" for name, value in self._columns() if value not in (None, "", [], {})
        )
        return f"{type(self).__name__}({fields})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        yield from self._columns()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text(value))}</td></tr>"
            for name, value in self._columns()
        )
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"


def text(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return str(value)


async def pages(
    session: Session,
    method: str,
    request: Message,
    *,
    items: Callable[[Message], list[Message]],
    make: Callable[[Message], R],
    token: Callable[[Message], str] = lambda answer: answer.get("token", ""),
    paged: Callable[[Message, int, str], None],
    limit: int | None = None,
) -> AsyncIterator[R]:
    """A listing, fetched page by page as it is read. `paged` writes a page's size and token into a request."""
    remaining, at = limit, ""
    while remaining is None or remaining > 0:
        size = PAGE if remaining is None else min(remaining, PAGE)
        paged(request, size, at)
        answer = await session.call(method, request)
        found = items(answer)
        for message in found[:remaining]:
            yield make(message)
        if remaining is not None:
            remaining -= len(found)
        after = token(answer)
        # The same page again would never end.
        if not after or after == at:
            return
        at = after


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$")


def time_of(value: Any) -> datetime | None:
    """A time in proto-JSON (RFC 3339, up to nanoseconds); None if it is missing."""
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    microseconds = int((match[2] or "").ljust(6, "0")[:6])
    return datetime.fromisoformat(match[1]).replace(microsecond=microseconds, tzinfo=timezone.utc)


def seconds_of(value: Any) -> datetime | None:
    """Unix time in seconds; None for none."""
    return datetime.fromtimestamp(int(value), timezone.utc) if value else None


def path(message: Mapping[str, Any], *keys: str) -> Any:
    """What is at a path of nested messages; None if a part of it is missing."""
    value: Any = message
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def page_of(kind: str, project: str, domain: str, name: str) -> str:
    """The console's page of something (`runs`, `tasks`, `apps`)."""
    config = session().config
    base = config["console"]["endpoint"] or config["admin"]["endpoint"]
    domain, project, name = (quote(part, safe="") for part in (domain, project, name))
    return f"{base.rstrip('/')}/v2/domain/{domain}/project/{project}/{kind}/{name}"


def person(identity: Any) -> str:
    """Who an `EnrichedIdentity` is of, as people call them."""
    user, application = path(identity or {}, "user"), path(identity or {}, "application")
    spec = path(user or {}, "spec") or {}
    name = " ".join(part for part in (spec.get("firstName"), spec.get("lastName")) if part)
    return (
        spec.get("email")
        or name
        or path(user or {}, "id", "subject")
        or path(application or {}, "spec", "name")
        or path(application or {}, "id", "subject")
        or ""
    )

"""A list of what happened, in a tab of a report."""

from __future__ import annotations

import html
from datetime import datetime
from typing import Any

from flyte.report._report import get_tab

# The most characters of a value that a report takes.
_LONGEST = 20_000


def abbreviate(value: Any, limit: int = 300) -> str:
    """The text of a value, escaped. A longer one than `limit` is folded: the first part is shown, and a click shows the rest."""
    text = "" if value is None else str(value)
    if len(text) <= limit:
        return html.escape(text)
    left_out = f"\n({len(text) - _LONGEST} more characters)" if len(text) > _LONGEST else ""
    return (
        f"<details><summary>{html.escape(text[:limit])}... (+{len(text) - limit})</summary>"
        f'<pre style="white-space: pre-wrap">{html.escape(text[:_LONGEST])}{left_out}</pre></details>'
    )


def duration_ms(start_iso: Any, end_iso: Any) -> str:
    """The time between two moments in ISO 8601, for example `250 ms`; empty if one of them is missing or malformed."""
    try:
        start, end = (
            datetime.fromisoformat(str(moment).replace("Z", "+00:00")) for moment in (start_iso, end_iso)
        )
        return f"{(end - start).total_seconds() * 1000:.0f} ms"
    except (ValueError, TypeError):
        return ""


class Timeline:
    """Adds rows to a tab of the running task's report."""

    def __init__(self, tab_name: str = "main") -> None:
        self._tab_name = tab_name

    def heading(self, text: Any) -> None:
        """Adds a heading."""
        get_tab(self._tab_name).log(f"<h3>{html.escape(str(text))}</h3>")

    def row(
        self, *, icon: str = "•", label: Any = "", meta: str = "", detail: str = "", error: Any = None
    ) -> None:
        """Adds a row. `detail` is HTML (see `abbreviate`); the other texts are escaped."""
        parts = [f"<span>{html.escape(icon)}</span> <b>{html.escape(str(label))}</b>"]
        if meta:
            parts.append(f"<small>{html.escape(meta)}</small>")
        if detail:
            parts.append(f"<div>{detail}</div>")
        if error is not None:
            parts.append(f'<div style="color: #b00020">{abbreviate(error)}</div>')
        get_tab(self._tab_name).log(f'<div style="padding: .25rem 0">{" ".join(parts)}</div>')

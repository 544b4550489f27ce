"""Reports of tasks: HTML that a task writes and people read in a browser.

A task that is made with `report=True` has a report of tabs. It is stored beside the task's outputs as `report.html` when the task ends,
and at each `flush`. `flyte.remote.Run.get_report` reads it.
"""

from flyte.report._report import Report, Tab, current_report, flush, get_tab, log, replace
from flyte.report._timeline import Timeline, abbreviate, duration_ms

__all__ = [
    "Report",
    "Tab",
    "Timeline",
    "abbreviate",
    "current_report",
    "duration_ms",
    "flush",
    "get_tab",
    "log",
    "replace",
]

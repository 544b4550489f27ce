"""What a running task can know about itself."""

from __future__ import annotations

import hashlib
import os
import pathlib
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from flyte.report import Report

# Inputs and outputs of a task, as they are on the wire, have at most this many bytes; files and directories do not count.
MAX_INLINE_IO_BYTES = 10 * 1024 * 1024

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, kw_only=True)
class ActionID:
    """One task's execution within a run."""

    name: str
    run_name: str | None = None
    project: str | None = None
    domain: str | None = None
    org: str | None = None

    def __post_init__(self) -> None:
        if self.run_name is None:
            object.__setattr__(self, "run_name", self.name)

    def child(self, task: str, inputs: str, sequence: int, group: str | None) -> ActionID:
        """The execution of a task that this one calls: of the same name whenever it calls the same task with the same inputs for the
        same time, so that a parent that is run again finds what its children did."""
        parts = f"{self.name}-{inputs}-{task}-{sequence}" + (f"-{group}" if group else "")
        number = int.from_bytes(hashlib.md5(parts.encode(), usedforsecurity=False).digest(), "big")
        digits = ""
        while number:
            number, digit = divmod(number, 36)
            digits = _DIGITS[digit] + digits
        return replace(self, name=digits or "0")


@dataclass(frozen=True, kw_only=True)
class RawDataPath:
    """The locations of a task's files."""

    path: str


@dataclass(frozen=True)
class GroupData:
    """What calls of tasks are shown under."""

    name: str


@dataclass(frozen=True, kw_only=True)
class CodeBundle:
    """The code that a task was written in, packed: an archive of files, or a pickled task."""

    computed_version: str
    destination: str = "."
    tgz: str | None = None
    pkl: str | None = None
    downloaded_path: pathlib.Path | None = None


@dataclass(frozen=True)
class CheckpointPaths:
    """The checkpoint locations of this attempt and of the previous one."""

    prev_checkpoint_path: str | None
    checkpoint_path: str | None


class CallCounter:
    """Numbers calls of the same task with the same inputs from one execution."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def next(self, key: str) -> int:
        """The number of this call, from 1."""
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key]


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """The running task's surroundings: `flyte.ctx()` gives it.

    `mode` is `local` in a process that runs all tasks itself. `custom_context` is handed on to the tasks that it calls.
    """

    action: ActionID
    version: str
    raw_data_path: RawDataPath
    output_path: str
    run_base_dir: str
    input_path: str | None = None
    group_data: GroupData | None = None
    checkpoint_paths: CheckpointPaths | None = None
    code_bundle: CodeBundle | None = None
    image_lookup: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    mode: Literal["local", "remote"] = "remote"
    interactive_mode: bool = False
    custom_context: dict[str, str] = field(default_factory=dict)
    run_start_time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    calls: CallCounter = field(default_factory=CallCounter, repr=False, compare=False)
    # The report, once something asked for it. Copies of the context share it.
    _reports: list[Report] = field(default_factory=list, repr=False, compare=False)

    def replace(self, **changes: Any) -> TaskContext:
        """A copy with changes."""
        return replace(self, **changes)

    def __getitem__(self, key: str) -> Any:
        return self.data.get(key)

    @property
    def report(self) -> Report:
        """The task's report; `flyte.report` writes to it."""
        if not self._reports:
            from flyte.report import Report

            self._reports.append(Report(self.action.name))
        return self._reports[0]

    def has_report(self) -> bool:
        """Whether something was written to the report."""
        return any(report.has_content() for report in self._reports)

    def is_in_cluster(self) -> bool:
        """Whether a control plane runs it."""
        return self.mode == "remote"

    @property
    def attempt_number(self) -> int:
        """Which attempt this is, from 0."""
        return int(os.environ.get("FLYTE_ATTEMPT_NUMBER", "0"))


class _NoTask(TaskContext):
    """What `flyte.ctx()` gives outside of tasks."""

    def __init__(self) -> None:
        for one in fields(TaskContext):
            object.__setattr__(self, one.name, None)

    def __bool__(self) -> bool:
        return False

    def __getitem__(self, key: str) -> Any:
        return None

    def __repr__(self) -> str:
        return "<no task is running>"


NO_TASK: TaskContext = _NoTask()

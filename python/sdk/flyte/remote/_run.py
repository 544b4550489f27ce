"""Runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

from flyte import errors
from flyte._initialize import scope, session
from flyte._session import Message
from flyte.remote._action import SERVICE, Action, ActionDetails, WaitFor
from flyte.remote._data import ActionInputs, ActionOutputs
from flyte.remote._listing import SortBy, TimeFilter, equal, in_phase, request_page, sort, within
from flyte.remote._resource import Resource, pages, path
from flyte.remote._task import _project
from flyte_auth._dual import dual, dual_class, dual_class_iterator, dual_iterator

_phases = in_phase


class Run(Resource):
    """A run, as the control plane had it when it was asked: `sync` asks again, `wait` and `watch` follow it."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.action = Action(self._message.get("action", {}))

    @property
    def name(self) -> str:
        """Its name, unique within its project's domain."""
        return self.action.run_name

    @property
    def project(self) -> str:
        """The project and domain of the run."""
        return str(path(self.action.action_id, "run", "project") or "")

    @property
    def domain(self) -> str:
        """The project and domain of the run."""
        return str(path(self.action.action_id, "run", "domain") or "")

    @property
    def run_id(self) -> Message:
        """`flyteidl2.common.RunIdentifier`."""
        return dict(self.action.action_id.get("run", {}))

    @property
    def task_name(self) -> str | None:
        """The task that was run."""
        return self.action.task_name

    @property
    def phase(self) -> str:
        """The phase, for example `running` or `succeeded`."""
        return self.action.phase

    @property
    def labels(self) -> dict[str, str]:
        """Free-form labels."""
        return dict(self._message.get("labels", {}))

    @property
    def start_time(self) -> datetime | None:
        """When it began."""
        return self.action.start_time

    @property
    def end_time(self) -> datetime | None:
        """When it ended; None while it has not."""
        return self.action.end_time

    @property
    def runtime(self) -> timedelta:
        """How long it has taken."""
        return self.action.runtime

    @property
    def url(self) -> str:
        """Its page in the console."""
        return self.action.url

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.action.done()

    def to_dict(self) -> Message:
        """The control plane's last answer."""
        return {**super().to_dict(), "action": self.action.to_dict()}

    def _columns(self) -> list[tuple[str, Any]]:
        return [
            ("name", self.name),
            ("task_name", self.task_name),
            ("phase", self.phase),
            ("project", self.project),
            ("domain", self.domain),
            ("start_time", self.start_time),
            ("end_time", self.end_time),
            ("labels", self.labels),
        ]

    @dual_class
    @classmethod
    async def get(cls, name: str, project: str | None = None, domain: str | None = None) -> Run:
        """The run of a name.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        request = {"runId": {**scope(project, domain), "name": name}}
        details = (await session().call(f"{SERVICE}/GetRunDetails", request)).get("details", {})
        action = details.get("action", {})
        labels = path(details, "runSpec", "labels", "values") or {}
        kept = {key: value for key, value in action.items() if key in ("id", "metadata", "status")}
        return cls({"action": kept, "labels": labels})

    @dual_class_iterator
    @classmethod
    async def listall(
        cls,
        in_phase: str | Iterable[Any] | None = None,
        task_name: str | None = None,
        task_version: str | None = None,
        created_by_subject: str | None = None,
        sort_by: SortBy | None = None,
        limit: int = 100,
        project: str | None = None,
        domain: str | None = None,
        created_at: TimeFilter | None = None,
        updated_at: TimeFilter | None = None,
        with_labels: Mapping[str, str] | None = None,
        with_label_keys: Iterable[str] = (),
        paused_actions_only: bool = False,
    ) -> AsyncIterator[Run]:
        """Runs of a project's domain, at most `limit`, fetched page by page as they are read.

        `in_phase` is one phase (`running`) or several; with several labels, runs have all of them.
        """
        filters = [
            *_phases(in_phase),
            *equal("task_name", task_name),
            *equal("task_version", task_version),
            *equal("created_by", created_by_subject),
            *within("created_at", created_at),
            *within("updated_at", updated_at),
        ]
        for key, value in (with_labels or {}).items():
            filters.append({"function": "EQUAL", "field": f"labels.{key}", "values": [value]})
        filters += [{"function": "EXISTS", "field": f"labels.{key}"} for key in with_label_keys]
        request: Message = {
            "projectId": _project(project, domain),
            "request": {"sortBy": sort(sort_by), "filters": filters},
            "pausedActionsOnly": paused_actions_only,
        }
        listing = pages(
            session(),
            f"{SERVICE}/ListRuns",
            request,
            items=lambda answer: answer.get("runs", []),
            make=cls,
            paged=request_page,
            limit=limit,
        )
        async for run in listing:
            yield run

    @dual
    async def sync(self) -> Run:
        """Refreshes the state, and returns itself."""
        await self.action.sync.aio()
        return self

    @dual
    async def details(self) -> ActionDetails:
        """The current details of its root action."""
        return await self.action.details.aio()

    @dual_iterator
    async def watch(self, wait_for: WaitFor = "terminal") -> AsyncIterator[ActionDetails]:
        """The details of its first action now and at each change, until it has ended; see `Action.watch`."""
        async for details in self.action.watch.aio(wait_for):
            yield details

    @dual
    async def wait(self, quiet: bool = False, wait_for: WaitFor = "terminal") -> None:
        """Waits until it has ended, or runs if the caller waits for that; see `Action.wait`."""
        await self.action.wait.aio(quiet, wait_for)

    @dual_iterator
    async def get_logs(self, attempt: int | None = None, show_ts: bool = False) -> AsyncIterator[str]:
        """The lines of its first action's log, those to come too; see `Action.get_logs`."""
        async for line in self.action.get_logs.aio(attempt, show_ts):
            yield line

    @dual
    async def show_logs(self, attempt: int | None = None, show_ts: bool = False) -> None:
        """Prints the lines of its first action's log, those to come too; see `Action.get_logs`."""
        await self.action.show_logs.aio(attempt, show_ts)

    @dual
    async def abort(self, reason: str = "aborted from Python") -> None:
        """Aborts it. A run that has already ended does not change."""
        try:
            await session().call(f"{SERVICE}/AbortRun", {"runId": self.run_id, "reason": reason})
        except errors.NotFoundError:
            return

    @dual
    async def get_report(self, attempt: int | None = None) -> str:
        """The HTML of the report that its first action's task wrote; see `Action.get_report`."""
        return await self.action.get_report.aio(attempt)

    @dual
    async def inputs(self) -> ActionInputs:
        """What it was given, by name."""
        return await self.action.inputs.aio()

    @dual
    async def outputs(self) -> ActionOutputs:
        """The outputs. Raises `flyte.errors.NotFoundError` if it did not succeed."""
        return await self.action.outputs.aio()

    @dual_iterator
    async def actions(self, limit: int | None = None) -> AsyncIterator[Action]:
        """Its actions, the first one first."""
        listing = Action.listall.aio(self.name, limit=limit, project=self.project, domain=self.domain)
        async for action in listing:
            yield action

    @dual
    async def raise_for_status(self) -> None:
        """Waits until it has ended. Raises `flyte.errors.RunFailedError` if it did not succeed."""
        await self.wait.aio(quiet=True)
        if self.phase not in ("succeeded", "recovered"):
            _raise(self, await self.details.aio())


def _raise(run: Run, details: ActionDetails) -> NoReturn:
    why = f": {details.error_message}" if details.error_message else ""
    raise errors.RunFailedError(
        f"the run {run.name} ended {run.phase.replace('_', ' ')}{why}",
        f"Read its logs: flyte get logs {run.name}",
        details.error_code or run.phase,
    )

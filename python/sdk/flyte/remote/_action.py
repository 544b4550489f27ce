"""Actions: the parts that a run is made of. The first, `a0`, is the task that was run."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from flyte import errors, storage
from flyte._initialize import scope, session
from flyte._outage import Outage, Position
from flyte._session import Message
from flyte.remote._data import ActionInputs, ActionOutputs, inputs, outputs
from flyte.remote._listing import (
    TERMINAL,
    SortBy,
    TimeFilter,
    equal,
    in_phase,
    phase_of,
    request_page,
    sort,
    within,
)
from flyte.remote._resource import Resource, page_of, pages, path, person, time_of
from flyte_auth._dual import anything, dual, dual_class, dual_class_iterator, dual_iterator, pause

SERVICE = "flyteidl2.workflow.RunService"

WaitFor = Literal["terminal", "running", "logs-ready"]

# How long a watch that the control plane has ended is left alone, in seconds.
_PAUSE = 1.0


class Action(Resource):
    """A part of a run, as the control plane had it when it was asked: `sync` asks again."""

    @property
    def action_id(self) -> Message:
        """`flyteidl2.common.ActionIdentifier`."""
        return dict(self._message.get("id", {}))

    @property
    def name(self) -> str:
        """Its name within the run."""
        return str(self.action_id.get("name", ""))

    @property
    def run_name(self) -> str:
        """The run that it is a part of."""
        return str(path(self.action_id, "run", "name") or "")

    @property
    def task_name(self) -> str | None:
        """The task that it runs; None if it is not a task."""
        return path(self._message, "metadata", "task", "id", "name") or None

    @property
    def parent_name(self) -> str | None:
        """The action that called it; None for the run's first."""
        return path(self._message, "metadata", "parent") or None

    @property
    def group(self) -> str | None:
        """The group that it was called in."""
        return path(self._message, "metadata", "group") or None

    @property
    def phase(self) -> str:
        """The phase, for example `running` or `succeeded`."""
        return phase_of(self._message.get("status", {}))

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return int(path(self._message, "status", "attempts") or 0)

    @property
    def start_time(self) -> datetime | None:
        """When it began."""
        return time_of(path(self._message, "status", "startTime"))

    @property
    def end_time(self) -> datetime | None:
        """When it ended; None while it has not."""
        return time_of(path(self._message, "status", "endTime"))

    @property
    def runtime(self) -> timedelta:
        """How long it has taken."""
        if self.start_time is None:
            return timedelta()
        return (self.end_time or datetime.now(timezone.utc)) - self.start_time

    @property
    def url(self) -> str:
        """The page of its run in the console."""
        run = self.action_id.get("run", {})
        return page_of("runs", run.get("project", ""), run.get("domain", ""), self.run_name)

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.phase in TERMINAL

    def _columns(self) -> list[tuple[str, Any]]:
        return [
            ("name", self.name),
            ("run_name", self.run_name),
            ("task_name", self.task_name),
            ("phase", self.phase),
            ("parent", self.parent_name),
            ("group", self.group),
            ("attempts", self.attempts),
            ("start_time", self.start_time),
            ("end_time", self.end_time),
        ]

    @dual_class
    @classmethod
    async def get(
        cls, run_name: str, name: str = "a0", project: str | None = None, domain: str | None = None
    ) -> Action:
        """An action of a run; the first without a name.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        return cls._of(await _details({"run": {**scope(project, domain), "name": run_name}, "name": name}))

    @dual_class_iterator
    @classmethod
    async def listall(
        cls,
        for_run_name: str,
        in_phase: str | Iterable[Any] | None = None,
        parent_name: str | None = None,
        sort_by: SortBy | None = None,
        created_at: TimeFilter | None = None,
        updated_at: TimeFilter | None = None,
        limit: int | None = None,
        project: str | None = None,
        domain: str | None = None,
    ) -> AsyncIterator[Action]:
        """Actions of a run, fetched page by page as they are read."""
        filters = [
            *_in_phase(in_phase),
            *equal("parent_name", parent_name),
            *within("created_at", created_at),
            *within("updated_at", updated_at),
        ]
        request: Message = {
            "runId": {**scope(project, domain), "name": for_run_name},
            "request": {"sortBy": sort(sort_by), "filters": filters},
        }
        listing = pages(
            session(),
            f"{SERVICE}/ListActions",
            request,
            items=lambda answer: answer.get("actions", []),
            make=cls,
            paged=request_page,
            limit=limit,
        )
        async for action in listing:
            yield action

    @dual
    async def details(self) -> ActionDetails:
        """The current details."""
        return ActionDetails(await _details(self.action_id))

    @dual
    async def sync(self) -> Action:
        """Refreshes the state, and returns itself."""
        self._take(await _details(self.action_id))
        return self

    @dual_iterator
    async def watch(self, wait_for: WaitFor = "terminal") -> AsyncIterator[ActionDetails]:
        """Its details now and at each change, until it has ended (or runs, if the caller waits for that). It also updates itself.

        If the control plane is away, retries for a minute. Raises an error of `flyte.errors` if that fails; the
        action continues.
        """
        outage = Outage(f"It continues. See its state: flyte get run {self.run_name}")
        while True:
            try:
                async for answer in session().stream(
                    f"{SERVICE}/WatchActionDetails", {"actionId": self.action_id}
                ):
                    outage.answered()
                    details = ActionDetails(answer.get("details", {}))
                    self._take(details._message)
                    yield details
                    if details._is_enough(wait_for):
                        return
            except errors.FlyteError as error:
                await outage.failed(error)
                continue
            # It ended before the action did: look again.
            await pause(_PAUSE)

    @dual
    async def wait(self, quiet: bool = False, wait_for: WaitFor = "terminal") -> None:
        """Waits until it has ended, or runs if the caller waits for that. Shows its phases on standard error unless `quiet`.

        A failed action is not an error here; see `raise_for_status`.
        """
        shown = ""
        if not self.done():
            async for details in self.watch.aio(wait_for):
                if not quiet and details.phase != shown:
                    shown = details.phase
                    _tell(f"{self.run_name} {self.name}: {shown}")
        if not quiet and self.done() and self.phase not in ("succeeded", "recovered"):
            reason = (await self.details.aio()).error_message
            _tell(
                f"{self.run_name} {self.name} did not succeed: {reason}"
                if reason
                else f"{self.run_name}: {self.phase}"
            )

    @dual_iterator
    async def get_logs(self, attempt: int | None = None, show_ts: bool = False) -> AsyncIterator[str]:
        """The lines of its log, including future ones, until it has ended. By default of the last attempt.

        Waits for it to start. If the control plane is away, retries for a minute and continues the log without a gap. With `show_ts`, each line begins with its time. Raises `flyte.errors.NotFoundError` where that
        attempt has no log.
        """
        async for details in self.watch.aio("logs-ready"):
            attempt = attempt or details.attempts
        request = {"actionId": self.action_id, "attempt": attempt or 1}
        outage = Outage(f"It continues. Follow it again: flyte get logs {self.run_name} {self.name} --follow")
        position = Position()
        while True:
            position.begin_again()
            try:
                async for answer in session().stream("flyteidl2.workflow.RunLogsService/TailLogs", request):
                    outage.answered()
                    for logs in answer.get("logs", []):
                        for line in filter(position.is_new, logs.get("lines", [])):
                            text = str(line.get("message", "")).rstrip("\n")
                            yield f"{line.get('timestamp', '')} {text}" if show_ts else text
                return
            except errors.FlyteError as error:
                await outage.failed(error)

    @dual
    async def show_logs(self, attempt: int | None = None, show_ts: bool = False) -> None:
        """Prints the lines of its log, those to come too, until it has ended; see `get_logs`."""
        async for line in self.get_logs.aio(attempt, show_ts):
            print(line, flush=True)

    @dual
    async def get_report(self, attempt: int | None = None) -> str:
        """The HTML of the report that its task wrote; by default of the last attempt.

        Raises `flyte.errors.NotFoundError` if it has no report.
        """
        request: Message = {
            "artifactType": "ARTIFACT_TYPE_REPORT",
            "actionAttemptId": {
                "actionId": self.action_id,
                "attempt": attempt or (await self.details.aio()).attempts,
            },
        }
        link = await session().call("flyteidl2.dataproxy.DataProxyService/CreateDownloadLink", request)
        urls = path(link, "preSignedUrls", "signedUrl") or []
        if not urls:
            raise errors.NotFoundError(f"{self.run_name} {self.name} has no report", "", "not_found")
        return (await anything(lambda: storage.read(urls[0]))).decode()

    @dual
    async def abort(self, reason: str = "aborted from Python") -> None:
        """Aborts it and the actions that it called. An action that has already ended does not change."""
        try:
            await session().call(f"{SERVICE}/AbortAction", {"actionId": self.action_id, "reason": reason})
        except errors.NotFoundError:
            return

    @dual
    async def inputs(self) -> ActionInputs:
        """What it was given, by name."""
        return await (await self.details.aio()).inputs.aio()

    @dual
    async def outputs(self) -> ActionOutputs:
        """The outputs. Raises `flyte.errors.NotFoundError` if it did not succeed."""
        return await (await self.details.aio()).outputs.aio()

    @classmethod
    def _of(cls, details: Message) -> Action:
        return cls({key: value for key, value in details.items() if key in ("id", "metadata", "status")})

    def _take(self, details: Message) -> None:
        self._message = type(self)._of(details)._message


class ActionDetails(Action):
    """Everything about an action."""

    @property
    def spec(self) -> Message:
        """The task that it runs (`flyteidl2.task.TaskSpec`); empty if it is not a task."""
        return dict(self._message.get("task", {}))

    @property
    def error_message(self) -> str:
        """Why it failed or was aborted, or else empty."""
        failed, aborted = self._message.get("errorInfo", {}), self._message.get("abortInfo", {})
        return str(failed.get("message") or aborted.get("reason") or "")

    @property
    def error_kind(self) -> str:
        """The kind of the failure: `user` or `system`; empty if it did not fail."""
        return str(path(self._message, "errorInfo", "kind") or "").removeprefix("KIND_").lower()

    @property
    def error_code(self) -> str:
        """The error's class, for example `ValueError`."""
        return str(path(self._message, "errorInfo", "code") or "")

    @property
    def executed_by(self) -> str:
        """Who started it."""
        return person(path(self._message, "metadata", "executedBy"))

    def logs_available(self) -> bool:
        """Whether there are logs to read."""
        return any(attempt.get("logsAvailable") for attempt in self._message.get("attempts", []))

    def _is_enough(self, wait_for: WaitFor) -> bool:
        if wait_for == "running" and self.phase == "running":
            return True
        if wait_for == "logs-ready" and self.logs_available():
            return True
        return self.done()

    def _columns(self) -> list[tuple[str, Any]]:
        return [*super()._columns(), ("executed_by", self.executed_by), ("error", self.error_message)]

    @dual
    async def inputs(self) -> ActionInputs:
        """What it was given, by name."""
        return await inputs((await self._data()).get("inputs", {}), self.spec)

    @dual
    async def outputs(self) -> ActionOutputs:
        """The outputs. Raises `flyte.errors.NotFoundError` if it did not succeed."""
        if self.phase not in ("succeeded", "recovered"):
            raise errors.NotFoundError(
                f"{self.run_name} {self.name} has returned nothing: it is {self.phase}"
                + (f" ({self.error_message})" if self.error_message else ""),
                "" if self.done() else "Wait for it: run.wait()",
                "not_found",
            )
        return await outputs((await self._data()).get("outputs", {}), self.spec)

    async def _data(self) -> Message:
        request = {"actionId": self.action_id}
        try:
            return await session().call("flyteidl2.dataproxy.DataProxyService/GetActionData", request)
        except errors.UnsupportedError:
            # The place of this field in older servers.
            return await session().call(f"{SERVICE}/GetActionData", request)

    @classmethod
    def _of(cls, details: Message) -> ActionDetails:
        return cls(details)


async def _details(action_id: Message) -> Message:
    answer = await session().call(f"{SERVICE}/GetActionDetails", {"actionId": action_id})
    found: Message = answer.get("details", {})
    return found


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_in_phase = in_phase

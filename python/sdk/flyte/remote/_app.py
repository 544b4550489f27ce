"""Apps: long-running services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, Literal

from flyte import errors
from flyte._initialize import scope, session
from flyte._outage import Outage
from flyte._session import Message
from flyte.remote._listing import SortBy, equal, request_page, sort
from flyte.remote._resource import Resource, page_of, pages, path, person, time_of
from flyte.remote._task import _project
from flyte_auth._dual import dual, dual_class, dual_class_iterator, pause

SERVICE = "flyteidl2.app.AppService"

WaitFor = Literal["activated", "deactivated"]

# The number of retries after a concurrent change of the app.
_TRIES = 3
_PAUSE = 1.0


class App(Resource):
    """An app, as the control plane had it when it was asked."""

    @property
    def app_id(self) -> Message:
        """`flyteidl2.app.Identifier`."""
        return dict(path(self._message, "metadata", "id") or {})

    @property
    def name(self) -> str:
        """Its name, unique within its project's domain."""
        return str(self.app_id.get("name", ""))

    @property
    def project(self) -> str:
        """The project and domain of the app."""
        return str(self.app_id.get("project", ""))

    @property
    def domain(self) -> str:
        """The project and domain of the app."""
        return str(self.app_id.get("domain", ""))

    @property
    def revision(self) -> int:
        """How often it was changed."""
        return int(path(self._message, "metadata", "revision") or 0)

    @property
    def endpoint(self) -> str:
        """Its address; empty if it has none yet."""
        return str(path(self._message, "status", "ingress", "publicUrl") or "")

    @property
    def deployment_status(self) -> str:
        """The state, for example `active` or `stopped`."""
        conditions = path(self._message, "status", "conditions") or []
        name = conditions[-1].get("deploymentStatus", "") if conditions else ""
        return str(name).removeprefix("DEPLOYMENT_STATUS_").lower() or "unspecified"

    @property
    def desired_state(self) -> str:
        """What is wanted of it: `active` or `stopped`."""
        name = str(path(self._message, "spec", "desiredState") or "")
        return name.removeprefix("DESIRED_STATE_").lower() or "unspecified"

    @property
    def message(self) -> str:
        """The control plane's message about the state."""
        conditions = path(self._message, "status", "conditions") or []
        return str(conditions[-1].get("message", "")) if conditions else ""

    @property
    def created_at(self) -> datetime | None:
        """When it was made."""
        return time_of(path(self._message, "status", "createdAt"))

    @property
    def url(self) -> str:
        """Its page in the console."""
        return page_of("apps", self.project, self.domain, self.name)

    def is_active(self) -> bool:
        """Whether it serves."""
        return self.deployment_status in ("active", "started")

    def is_deactivated(self) -> bool:
        """Whether it was stopped."""
        return self.deployment_status in ("unassigned", "stopped", "unspecified")

    def _columns(self) -> list[tuple[str, Any]]:
        return [
            ("name", self.name),
            ("status", self.deployment_status),
            ("desired_state", self.desired_state),
            ("endpoint", self.endpoint),
            ("revision", self.revision),
            ("project", self.project),
            ("domain", self.domain),
            ("creator", person(path(self._message, "spec", "creator"))),
            ("created_at", self.created_at),
        ]

    @dual_class
    @classmethod
    async def get(cls, name: str, project: str | None = None, domain: str | None = None) -> App:
        """The app of a name.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        answer = await session().call(f"{SERVICE}/Get", {"appId": {**scope(project, domain), "name": name}})
        return cls(answer.get("app", {}))

    @dual_class_iterator
    @classmethod
    async def listall(
        cls,
        created_by_subject: str | None = None,
        sort_by: SortBy | None = None,
        limit: int = 100,
        in_status: str | Iterable[str] | None = None,
        project: str | None = None,
        domain: str | None = None,
    ) -> AsyncIterator[App]:
        """Apps of a project's domain, at most `limit`, fetched page by page as they are read.

        `in_status` is one status (`active`) or several.
        """
        statuses = [in_status] if isinstance(in_status, str) else list(in_status or ())
        names = [f"DEPLOYMENT_STATUS_{name.upper().removeprefix('DEPLOYMENT_STATUS_')}" for name in statuses]
        request: Message = {
            "project": _project(project, domain),
            "request": {
                "sortBy": sort(sort_by),
                "filters": [*equal("created_by", created_by_subject), *equal("status", *names)],
            },
        }
        listing = pages(
            session(),
            f"{SERVICE}/List",
            request,
            items=lambda answer: answer.get("apps", []),
            make=cls,
            paged=request_page,
            limit=limit,
        )
        async for app in listing:
            yield app

    @dual_class
    @classmethod
    async def create(cls, app: Message) -> App:
        """Makes an app of a `flyteidl2.app.App` in proto-JSON, and returns it as the control plane has it.

        Raises `flyte.errors.AlreadyExistsError` where its name is taken.
        """
        return cls((await session().call(f"{SERVICE}/Create", {"app": app})).get("app", {}))

    @dual_class
    @classmethod
    async def replace(
        cls, name: str, spec: Message, reason: str, project: str | None = None, domain: str | None = None
    ) -> App:
        """Gives an app another specification (`flyteidl2.app.Spec`), and returns it as the control plane has it."""

        def changed(app: Message) -> Message:
            return {**app, "spec": spec}

        return await _change(cls, {**scope(project, domain), "name": name}, changed, reason)

    @dual_class
    @classmethod
    async def delete(cls, name: str, project: str | None = None, domain: str | None = None) -> None:
        """Stops an app and forgets it.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        await session().call(f"{SERVICE}/Delete", {"appId": {**scope(project, domain), "name": name}})

    @dual
    async def activate(self, wait: bool = False) -> App:
        """Has it served; with `wait`, returns when it is."""
        return await self._want("ACTIVE", "activated" if wait else None)

    @dual
    async def deactivate(self, wait: bool = False) -> App:
        """Stops it; with `wait`, returns when it has stopped."""
        return await self._want("STOPPED", "deactivated" if wait else None)

    @dual
    async def watch(self, wait_for: WaitFor = "activated") -> App:
        """Waits until it serves, or has stopped, and returns it. Raises `flyte.errors.RunFailedError` if it fails.

        A control plane that is away is asked again for a minute.
        """
        outage = Outage(f"See its state: flyte get app {self.name}")
        while True:
            try:
                found = await App.get.aio(self.name, self.project, self.domain)
            except errors.FlyteError as error:
                await outage.failed(error)
                continue
            outage.answered()
            if found.is_active() if wait_for == "activated" else found.is_deactivated():
                return found
            if wait_for == "activated" and found.deployment_status == "failed":
                raise errors.RunFailedError(
                    f"the app {self.name} cannot be served: {found.message or 'it failed'}",
                    f"Read its logs: flyte get logs --app {self.name}",
                    "failed",
                )
            await pause(_PAUSE)

    async def _want(self, state: str, wait_for: WaitFor | None) -> App:
        def changed(app: Message) -> Message:
            return {**app, "spec": {**app.get("spec", {}), "desiredState": f"DESIRED_STATE_{state}"}}

        app = await _change(type(self), self.app_id, changed, f"{state.lower()} is wanted")
        return app if wait_for is None else await app.watch.aio(wait_for)


async def _change(cls: type[App], app_id: Message, changed: Any, reason: str) -> App:
    """Changes the current version of an app, and retries after a concurrent change."""
    for left in reversed(range(_TRIES)):
        now = (await session().call(f"{SERVICE}/Get", {"appId": app_id})).get("app", {})
        try:
            answer = await session().call(f"{SERVICE}/Update", {"app": changed(now), "reason": reason})
        except errors.ServerError as error:
            if error.code != "aborted" or not left:
                raise
            continue
        return cls(answer.get("app", {}))
    raise AssertionError

"""Tasks that were deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

from flyte import errors
from flyte._initialize import scope, session
from flyte._session import Message
from flyte.remote._listing import SortBy, equal, request_page, sort
from flyte.remote._resource import Resource, page_of, pages, path, person, time_of
from flyte_auth._dual import dual, dual_class_iterator

SERVICE = "flyteidl2.task.TaskService"

AutoVersion = Literal["latest", "current"]


class Task(Resource):
    """One version of a task, as listings show it."""

    @property
    def task_id(self) -> Message:
        """`flyteidl2.task.TaskIdentifier`."""
        return dict(self._message.get("taskId", {}))

    @property
    def name(self) -> str:
        """Its full name, with that of its environment."""
        return str(self.task_id.get("name", ""))

    @property
    def version(self) -> str:
        """Which version of it."""
        return str(self.task_id.get("version", ""))

    @property
    def project(self) -> str:
        """The project and domain of the task."""
        return str(self.task_id.get("project", ""))

    @property
    def domain(self) -> str:
        """The project and domain of the task."""
        return str(self.task_id.get("domain", ""))

    @property
    def short_name(self) -> str:
        """The name that people call it by."""
        return str(path(self._message, "metadata", "shortName") or "")

    @property
    def environment_name(self) -> str:
        """The environment that it is in."""
        return str(path(self._message, "metadata", "environmentName") or "")

    @property
    def deployed_at(self) -> datetime | None:
        """When it was deployed."""
        return time_of(path(self._message, "metadata", "deployedAt"))

    @property
    def url(self) -> str:
        """Its page in the console."""
        return page_of("tasks", self.project, self.domain, self.name)

    def _columns(self) -> list[tuple[str, Any]]:
        return [
            ("name", self.name),
            ("version", self.version),
            ("short_name", self.short_name),
            ("environment", self.environment_name),
            ("project", self.project),
            ("domain", self.domain),
            ("deployed_by", person(path(self._message, "metadata", "deployedBy"))),
            ("deployed_at", self.deployed_at),
        ]

    @classmethod
    def get(
        cls,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersion | None = None,
    ) -> LazyEntity:
        """A task by its name, fetched when it is needed: by `fetch`, or by `flyte.run`.

        `auto_version` chooses the version: the `latest`, or the `current` one, which is that of the task that asks.

        Raises ValueError without a version and without a way to choose one.
        """
        if version is None and auto_version is None:
            raise ValueError(
                f"which version of {name}? Give version=..., or auto_version='latest' or 'current'"
            )
        if version is None and auto_version not in ("latest", "current"):
            raise ValueError(f"auto_version is 'latest' or 'current', not {auto_version!r}")
        return LazyEntity(name, project, domain, version, auto_version)

    @dual_class_iterator
    @classmethod
    async def listall(
        cls,
        by_task_name: str | None = None,
        by_task_env: str | None = None,
        project: str | None = None,
        domain: str | None = None,
        sort_by: SortBy | None = None,
        limit: int = 100,
        entrypoint: bool | None = None,
    ) -> AsyncIterator[Task]:
        """Tasks of a project's domain, at most `limit`, fetched page by page as they are read.

        `by_task_name` is a full name, `by_task_env` an environment's.
        """
        filters = equal("name", by_task_name)
        if by_task_env:
            filters.append({"function": "CONTAINS", "field": "name", "values": [f"{by_task_env}."]})
        request: Message = {
            "projectId": _project(project, domain),
            "request": {"sortBy": sort(sort_by), "filters": filters},
        }
        if entrypoint is not None:
            request["knownFilters"] = [{"isEntrypoint": entrypoint}]
        listing = pages(
            session(),
            f"{SERVICE}/ListTasks",
            request,
            items=lambda answer: answer.get("tasks", []),
            make=cls,
            paged=request_page,
            limit=limit,
        )
        async for task in listing:
            yield task


class LazyEntity:
    """A task that is fetched when it is needed, once."""

    def __init__(
        self,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersion | None = None,
    ) -> None:
        self.name = name
        self._project = project
        self._domain = domain
        self._version = version
        self._auto_version = auto_version
        self._fetched: TaskDetails | None = None

    @dual
    async def fetch(self) -> TaskDetails:
        """The task as it was deployed.

        Raises `flyte.errors.RemoteTaskNotFoundError` if there is none.
        """
        if self._fetched is None:
            self._fetched = await self._fetch()
        return self._fetched

    async def _fetch(self) -> TaskDetails:
        version = self._version or await self._chosen()
        place = scope(self._project, self._domain)
        request = {"taskId": {**place, "name": self.name, "version": version}}
        try:
            answer = await session().call(f"{SERVICE}/GetTaskDetails", request)
        except errors.NotFoundError as error:
            raise errors.RemoteTaskNotFoundError(
                error.message, "List existing ones: flyte get task", error.code
            ) from None
        return TaskDetails(answer.get("details", {}))

    async def _chosen(self) -> str:
        """The version that `auto_version` asks for."""
        if self._auto_version == "current":
            # Set by the control plane.
            from flyte import ctx

            context = ctx()
            if context is None or not context.version:
                raise errors.RemoteTaskNotFoundError(
                    f"{self.name} is wanted in the current version, and no task is running",
                    "Give version=..., or auto_version='latest'.",
                )
            return str(context.version)
        newest: SortBy = ("created_at", "desc")
        found = Task.listall.aio(
            self.name, project=self._project, domain=self._domain, sort_by=newest, limit=1
        )
        async for task in found:
            return task.version
        place = scope(self._project, self._domain)
        raise errors.RemoteTaskNotFoundError(
            f"no task {self.name} in {place['project']}/{place['domain']}",
            "List existing ones: flyte get task",
        )

    def __repr__(self) -> str:
        version = self._version or f"auto_version={self._auto_version!r}"
        return f"LazyEntity(name={self.name!r}, version={version}, fetched={self._fetched is not None})"


class TaskDetails(Task):
    """A task as it was deployed, with its interface and everything that a run of it needs."""

    @property
    def spec(self) -> Message:
        """`flyteidl2.task.TaskSpec`."""
        return dict(self._message.get("spec", {}))

    @property
    def task_type(self) -> str:
        """The kind of task, for example `python`."""
        return str(path(self.spec, "taskTemplate", "type") or "")

    @property
    def inputs(self) -> dict[str, Message]:
        """The types of its inputs (`flyteidl2.core.LiteralType`), in the order of the alphabet."""
        return variables(path(self.spec, "taskTemplate", "interface", "inputs"))

    @property
    def outputs(self) -> dict[str, Message]:
        """The types of its outputs, in the order of the alphabet."""
        return variables(path(self.spec, "taskTemplate", "interface", "outputs"))

    @property
    def default_input_args(self) -> tuple[str, ...]:
        """Inputs that may be left out."""
        return tuple(str(one.get("name", "")) for one in self.spec.get("defaultInputs", []))

    @property
    def required_args(self) -> tuple[str, ...]:
        """Inputs that have to be given."""
        return tuple(name for name in self.inputs if name not in self.default_input_args)

    @property
    def documentation(self) -> str:
        """What it says about itself."""
        documentation = self.spec.get("documentation", {})
        return str(documentation.get("longDescription") or documentation.get("shortDescription") or "")

    def _columns(self) -> list[tuple[str, Any]]:
        return [
            *super()._columns(),
            ("task_type", self.task_type),
            ("inputs", list(self.inputs)),
            ("outputs", list(self.outputs)),
        ]


def variables(interface: Any) -> dict[str, Message]:
    """The types of a `flyteidl2.core.VariableMap`."""
    entries = (interface or {}).get("variables", [])
    if isinstance(entries, dict):
        return {name: variable.get("type", {}) for name, variable in entries.items()}
    return {entry.get("key", ""): path(entry, "value", "type") or {} for entry in entries}


def _project(project: str | None, domain: str | None) -> Message:
    """`flyteidl2.common.ProjectIdentifier` of what a listing is about."""
    place = scope(project, domain)
    return {"organization": place["org"], "name": place["project"], "domain": place["domain"]}

"""Projects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from flyte._initialize import initialized, session
from flyte._session import Message
from flyte.remote._listing import SortBy, sort
from flyte.remote._resource import Resource, pages
from flyte_auth._dual import dual, dual_class, dual_class_iterator

SERVICE = "flyteidl2.project.ProjectService"
_STATES = {
    "PROJECT_STATE_ACTIVE": "active",
    "PROJECT_STATE_ARCHIVED": "archived",
    "PROJECT_STATE_SYSTEM_GENERATED": "system generated",
    "PROJECT_STATE_SYSTEM_ARCHIVED": "system archived",
}


class Project(Resource):
    """The unit that runs, tasks and permissions belong to."""

    @property
    def id(self) -> str:
        """Identifier, unique within the organization."""
        return str(self._message.get("id", ""))

    @property
    def name(self) -> str:
        """Name for display."""
        return str(self._message.get("name", ""))

    @property
    def description(self) -> str:
        """What it is for."""
        return str(self._message.get("description", ""))

    @property
    def domains(self) -> list[str]:
        """Identifiers of its stages."""
        return [domain.get("id", "") for domain in self._message.get("domains", [])]

    @property
    def labels(self) -> dict[str, str]:
        """Free-form labels."""
        return dict(self._message.get("labels", {}).get("values", {}))

    @property
    def state(self) -> str:
        """`active`, `archived`, or what the system made of it."""
        return _STATES.get(self._message.get("state", "PROJECT_STATE_ACTIVE"), "unknown")

    @property
    def org(self) -> str:
        """The organization that it belongs to."""
        return str(self._message.get("org", ""))

    def _columns(self) -> list[tuple[str, Any]]:
        return [
            ("id", self.id),
            ("name", self.name),
            ("description", self.description),
            ("state", self.state),
            ("domains", self.domains),
            ("labels", self.labels),
        ]

    @dual_class
    @classmethod
    async def get(cls, name: str, org: str | None = None) -> Project:
        """The project of an identifier.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        answer = await session().call(f"{SERVICE}/GetProject", {"id": name, "org": _org(org)})
        return cls(answer.get("project", {}))

    @dual_class_iterator
    @classmethod
    async def listall(
        cls,
        filters: str | None = None,
        sort_by: SortBy | None = None,
        archived: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[Project]:
        """Projects, fetched page by page as they are read: those in use, or the archived ones.

        `filters` are in Flyte's language (`eq(name, x)`, joined by `+`); `sort_by` is a field and `asc` or `desc`.
        """
        state = f"eq(state, {1 if archived else 0})"
        request: Message = {
            "filters": f"{state}+{filters}" if filters else state,
            "sortBy": sort(sort_by),
            "org": _org(None),
        }
        listing = pages(
            session(),
            f"{SERVICE}/ListProjects",
            request,
            items=lambda answer: answer.get("projects", {}).get("projects", []),
            token=lambda answer: answer.get("projects", {}).get("token", ""),
            make=cls,
            paged=lambda request, size, at: request.update(limit=size, token=at),
            limit=limit,
        )
        async for project in listing:
            yield project

    @dual_class
    @classmethod
    async def create(
        cls, id: str, name: str | None = None, description: str = "", labels: Mapping[str, str] | None = None
    ) -> Project:
        """Makes a project and returns it as the control plane has it.

        Raises `flyte.errors.AlreadyExistsError` where the identifier is taken.
        """
        project = {
            "id": id,
            "name": name or id,
            "description": description,
            "labels": {"values": dict(labels or {})},
            "org": _org(None),
        }
        await session().call(f"{SERVICE}/CreateProject", {"project": project})
        found: Project = await cls.get.aio(id)
        return found

    @dual_class
    @classmethod
    async def update(
        cls,
        id: str,
        name: str | None = None,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Project:
        """Changes a project and returns it as the control plane has it; what is None stays."""
        changes: Message = {}
        if name is not None:
            changes["name"] = name
        if description is not None:
            changes["description"] = description
        if labels is not None:
            changes["labels"] = {"values": dict(labels)}
        return await _change(cls, id, changes)

    @dual
    async def archive(self) -> Project:
        """Hides it from listings, unless they ask for archived projects."""
        return await _change(type(self), self.id, {"state": "PROJECT_STATE_ARCHIVED"})

    @dual
    async def unarchive(self) -> Project:
        """Brings it back."""
        return await _change(type(self), self.id, {"state": "PROJECT_STATE_ACTIVE"})


def _org(org: str | None) -> str:
    return org or initialized().org or ""


async def _change(cls: type[Project], id: str, changes: Message) -> Project:
    before = (await cls.get.aio(id)).to_dict()
    # A request that names domains is refused by the published server.
    before.pop("domains", None)
    await session().call(f"{SERVICE}/UpdateProject", {"project": {**before, **changes}})
    return await cls.get.aio(id)

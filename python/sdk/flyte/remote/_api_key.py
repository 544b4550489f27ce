"""API keys: one string that is all a machine needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from flyte._initialize import session
from flyte._session import Message
from flyte.remote._resource import Resource, pages, seconds_of
from flyte_auth._dual import dual_class, dual_class_iterator

SERVICE = "flyteauth.ApiKeyService"


class ApiKey(Resource):
    """A key for machines that cannot sign in. Its secret is only there right after `create` and `rotate`, as `key`."""

    def __init__(self, message: Message, key: str | None = None) -> None:
        super().__init__(message)
        self._key = key

    @property
    def key(self) -> str:
        """The key itself: endpoint, client and secret in one string, as `FLYTE_API_KEY` takes it. Keep it secret.

        Raises ValueError unless the key was just created: the server does not store the secret.
        """
        if self._key is None:
            raise ValueError(
                f"the secret of {self.client_id} was shown once, when it was made; get a new one: "
                f"ApiKey.rotate({self.client_id!r})"
            )
        return self._key

    @property
    def client_id(self) -> str:
        """Identifier, made from the name."""
        return str(self._message.get("clientId", ""))

    @property
    def name(self) -> str:
        """Name for display."""
        return str(self._message.get("name", ""))

    @property
    def role(self) -> str:
        """The most that it may do."""
        return str(self._message.get("access", {}).get("role", ""))

    @property
    def expires_at(self) -> datetime | None:
        """When it stops working; None for never."""
        return seconds_of(self._message.get("expiresAt"))

    @property
    def last_used_at(self) -> datetime | None:
        """When it was last used; None for never."""
        return seconds_of(self._message.get("lastUsedAt"))

    def _columns(self) -> list[tuple[str, Any]]:
        access = self._message.get("access", {})
        return [
            ("client_id", self.client_id),
            ("name", self.name),
            ("role", self.role),
            ("project", access.get("project", "")),
            ("domain", access.get("domain", "")),
            ("created_by", self._message.get("createdBy", "")),
            ("expires_at", self.expires_at),
            ("last_used_at", self.last_used_at),
        ]

    @dual_class
    @classmethod
    async def get(cls, client_id: str) -> ApiKey:
        """The key of a client ID, without its secret.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        answer = await session().call(f"{SERVICE}/GetApiKey", {"clientId": client_id})
        return cls(answer.get("apiKey", {}))

    @dual_class_iterator
    @classmethod
    async def listall(cls, limit: int | None = None) -> AsyncIterator[ApiKey]:
        """Keys, fetched page by page as they are read."""
        listing = pages(
            session(),
            f"{SERVICE}/ListApiKeys",
            {},
            items=lambda answer: answer.get("apiKeys", []),
            make=cls,
            paged=lambda request, size, at: request.update(limit=size, token=at),
            limit=limit,
        )
        async for key in listing:
            yield key

    @dual_class
    @classmethod
    async def create(
        cls,
        name: str,
        role: str = "",
        scopes: Sequence[str] = (),
        project: str = "",
        domain: str = "",
        expires_in: timedelta | None = None,
        no_expiry: bool = False,
    ) -> ApiKey:
        """Creates a key. Only the returned object has its secret (`key`).

        `role` is `viewer`, `contributor` (the default) or `admin`. `project` and `domain` limit the key to a project and
        one of its domains. By default the server's setting decides the lifetime, usually 90 days; with `no_expiry` the key
        works until it is deleted. A key that does not expire, and an administrator's key, need a sign-in within the last 15
        minutes: at a terminal you sign in again.

        Raises `flyte.errors.LoginRequiredError` if a sign-in is needed without a terminal, and
        `flyte.errors.AlreadyExistsError` if the name is taken.
        """
        request = {
            "name": name,
            "access": {
                "role": role or "contributor",
                "scopes": list(scopes),
                "project": project,
                "domain": domain,
            },
            "lifetime": _seconds(expires_in),
            "noExpiry": no_expiry,
        }
        return cls._with_key(await session().call(f"{SERVICE}/CreateApiKey", request))

    @dual_class
    @classmethod
    async def rotate(
        cls,
        client_id: str,
        overlap: timedelta | None = None,
        expires_in: timedelta | None = None,
        no_expiry: bool = False,
    ) -> ApiKey:
        """Gives a key a new secret; the old one works for `overlap` longer, not at all without it.

        The key ends as before, or `expires_in` from now, or not by itself with `no_expiry`.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        request = {
            "clientId": client_id,
            "overlap": _seconds(overlap),
            "lifetime": _seconds(expires_in),
            "noExpiry": no_expiry,
        }
        return cls._with_key(await session().call(f"{SERVICE}/RotateApiKey", request))

    @dual_class
    @classmethod
    async def delete(cls, client_id: str) -> None:
        """Ends a key: its tokens stop working at once.

        Raises `flyte.errors.NotFoundError` if there is none.
        """
        await session().call(f"{SERVICE}/DeleteApiKey", {"clientId": client_id})

    @classmethod
    def _with_key(cls, answer: Message) -> ApiKey:
        message = answer.get("apiKey", {})
        return cls(
            message, session().native.api_key(message.get("clientId", ""), answer.get("clientSecret", ""))
        )


def _seconds(time: timedelta | None) -> str:
    return str(int(time.total_seconds())) if time else "0"

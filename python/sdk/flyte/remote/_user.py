"""Who is calling."""

from __future__ import annotations

from typing import Any

from flyte._initialize import session
from flyte.remote._resource import Resource
from flyte_auth._dual import dual_class


class User(Resource):
    """What the control plane knows about the caller (OpenID Connect Core section 5.1)."""

    @dual_class
    @classmethod
    async def get(cls) -> User:
        """Who the caller is.

        Raises `flyte.errors.AuthenticationError` if the control plane does not know.
        """
        return cls(await session().call("flyteidl2.auth.IdentityService/UserInfo"))

    def subject(self) -> str:
        """Stable identifier."""
        return str(self._message.get("subject", ""))

    def name(self) -> str:
        """Full name."""
        return str(self._message.get("name", ""))

    def email(self) -> str:
        """The e-mail address; empty if the control plane has none."""
        return str(self._message.get("email", ""))

    def _columns(self) -> list[tuple[str, Any]]:
        return [
            ("subject", self.subject()),
            ("name", self.name()),
            ("email", self.email()),
            ("preferred_username", self._message.get("preferredUsername", "")),
        ]

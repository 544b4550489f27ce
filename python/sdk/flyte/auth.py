"""The login of the control plane: its status, signing in and out. The same as `flyte auth` on the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone

from flyte._initialize import session
from flyte._session import waiting
from flyte_auth._dual import dual

__all__ = ["SignedOut", "Status", "login", "logout", "status"]


@dataclass(frozen=True)
class Status:
    """The status of a login, without secrets."""

    endpoint: str
    """The control plane."""
    auth_type: str
    """How the caller proves who it is."""
    signed_in: bool
    """Whether there is a login, or a machine's credentials."""
    kept_in: str
    """Where tokens are stored: the system's keyring, an encrypted file, or nowhere."""
    expires_at: datetime | None
    """The time at which the access token expires; None if it is unknown."""
    renews_itself: bool
    """Whether the access token is renewed without a sign-in."""
    issuer: str | None
    """The issuer of the tokens; None if another tool signed in."""
    client_id: str | None
    """The client that was signed in as."""
    subject: str | None
    """The e-mail address or name of the user; None if it is unknown."""
    scopes: tuple[str, ...]
    """The scopes granted."""


@dataclass(frozen=True)
class SignedOut:
    """What signing out did."""

    was_signed_in: bool
    """Whether there was a login to end."""
    revoked: bool
    """Whether the control plane confirmed it. If not, the access token works until it expires."""


@dual
async def status() -> Status:
    """Returns the status of the login, without using the network.

    Raises `flyte.errors.FlyteError` if the keyring or the file cannot be read.
    """
    native = session().native
    status = json.loads(
        await waiting(native.status, native.status_async, "cannot find out whether you are signed in")
    )
    expires = status.pop("expires_at")
    when = datetime.fromtimestamp(expires, timezone.utc) if expires else None
    return Status(**{**status, "scopes": tuple(status["scopes"])}, expires_at=when)


@dual
async def login() -> None:
    """Signs in, even if there is already a login. A machine gets a new token.

    Raises `flyte.errors.AuthenticationError`; the login before stays then.
    """
    native = session().native
    await waiting(native.login, native.login_async, "cannot sign in")


@dual
async def logout() -> SignedOut:
    """Signs out: revokes the tokens at the control plane and removes them here, for all Flyte tools.

    Raises `flyte.errors.FlyteError` where they could not be removed.
    """
    native = session().native
    return SignedOut(**json.loads(await waiting(native.logout, native.logout_async, "cannot sign out")))

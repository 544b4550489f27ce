"""The login of the control plane: how it stands, signing in and out. What `flyte auth` is on the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone

from flyte._dual import dual
from flyte._initialize import session
from flyte._session import waiting

__all__ = ["SignedOut", "Status", "login", "logout", "status"]


@dataclass(frozen=True)
class Status:
    """How a login stands; nothing of it is secret."""

    endpoint: str
    """The control plane."""
    auth_type: str
    """How the caller proves who it is."""
    signed_in: bool
    """Whether there is a login, or a machine's credentials."""
    kept_in: str
    """Where tokens are kept: the system's keyring, an encrypted file, or nowhere."""
    expires_at: datetime | None
    """When the access token expires; None where that is not known."""
    renews_itself: bool
    """Whether the access token is renewed without anybody."""
    issuer: str | None
    """Who gave the tokens; None where another tool signed in."""
    client_id: str | None
    """The client that was signed in as."""
    subject: str | None
    """Who is signed in, by e-mail address or name; None where that was not told."""
    scopes: tuple[str, ...]
    """The scopes granted."""


@dataclass(frozen=True)
class SignedOut:
    """What signing out did."""

    was_signed_in: bool
    """Whether there was a login to end."""
    revoked: bool
    """Whether the control plane confirmed it. Where not, the access token lives until it expires."""


@dual
async def status() -> Status:
    """How the login stands, without the network.

    Raises `flyte.errors.FlyteError` where the keyring, or what takes its place, cannot be read.
    """
    native = session().native
    told = json.loads(
        await waiting(native.status, native.status_async, "cannot tell whether you are signed in")
    )
    expires = told.pop("expires_at")
    when = datetime.fromtimestamp(expires, timezone.utc) if expires else None
    return Status(**{**told, "scopes": tuple(told["scopes"])}, expires_at=when)


@dual
async def login() -> None:
    """Signs in, also where somebody is signed in already. A machine gets a new token.

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

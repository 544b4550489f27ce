"""The login of the control plane: its status, signing in and out. The same as `flyte auth` on the command line."""

from __future__ import annotations

import json

from flyte._initialize import session
from flyte._session import waiting
from flyte_auth._dual import dual
from flyte_auth._session import SignedOut, Status

__all__ = ["SignedOut", "Status", "login", "logout", "status"]


@dual
async def status() -> Status:
    """Returns the status of the login, without using the network.

    Raises `flyte.errors.FlyteError` if the keyring or the file cannot be read.
    """
    native = session().native
    text = await waiting(native.status, native.status_async, "cannot find out whether you are signed in")
    return Status.read(text)


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

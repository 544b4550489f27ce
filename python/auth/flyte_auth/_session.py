"""Sessions: the login of one control plane."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar

from flyte_auth import _native
from flyte_auth._dual import Waiting, dual
from flyte_auth._prompt import Prompt, is_interactive
from flyte_auth.errors import ConfigurationError, translated

R = TypeVar("R")


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

    @classmethod
    def read(cls, text: str) -> Status:
        """Reads what the native half returns."""
        fields = json.loads(text)
        expires = fields.pop("expires_at")
        when = datetime.fromtimestamp(expires, timezone.utc) if expires else None
        return cls(**{**fields, "scopes": tuple(fields["scopes"])}, expires_at=when)


@dataclass(frozen=True)
class SignedOut:
    """What signing out did."""

    was_signed_in: bool
    """Whether there was a login to end."""
    revoked: bool
    """Whether the control plane confirmed it. If not, the access token works until it expires."""


class Session:
    """The login of one control plane. It is the one of the `flyte-auth` command, and both renew it together.

    Creating a session uses neither the network nor the keyring. Each method blocks, and has an awaitable form, `.aio`. A session
    works in any thread, event loop and forked child.

    Args:
        endpoint: The control plane: `https://host`, `dns:///host` or `host:port`. Without it, `FLYTE_API_KEY` or the configuration
            file decides, as for the command.
        config: The configuration file, instead of the one that is found.
        api_key: One string that holds endpoint, client and secret.
        auth_type: `Pkce` (the user's browser; the default), `DeviceFlow`, `ClientSecret`, `ExternalCommand` or `TokenExchange`.
        headless: Sign in on another device: a link, a code and a QR code are shown here.
        client_id, client_secret: Your own OAuth client.
        command: The command that prints the token, for `ExternalCommand`.
        proxy_command: The command that prints the token for a proxy in front of the control plane.
        scopes: Scopes to request instead of those that the server advertises.
        ca_cert_file: PEM file of certificate authorities to trust instead of the system's.
        insecure_skip_verify: Accept any certificate, for a quick try.
        token_store: Where to store a login: `keyring`, `file` (encrypted) or `memory`.
        interactive: Whether a user may be asked to sign in. By default, if there is a terminal or a notebook.

    Raises:
        ConfigurationError: An argument or the configuration cannot be used.
        AuthenticationError: The API key cannot be used.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        api_key: str | None = None,
        auth_type: str | None = None,
        headless: bool = False,
        client_id: str | None = None,
        client_secret: str | None = None,
        command: Sequence[str] | None = None,
        proxy_command: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        ca_cert_file: str | os.PathLike[str] | None = None,
        insecure_skip_verify: bool = False,
        token_store: str | None = None,
        interactive: bool | None = None,
    ) -> None:
        from_file = endpoint is None and api_key is None
        if client_secret and auth_type is None:
            auth_type = "ClientSecret"
        parameters: dict[str, Any] = {
            "use_config": from_file or config is not None,
            "config": config,
            "environment_key": from_file,
            "endpoint": endpoint,
            "auth_type": None if api_key else auth_type,
            "headless": headless,
            "client_id": client_id,
            "command": list(command) if command else None,
            "proxy_command": list(proxy_command) if proxy_command else None,
            "scopes": list(scopes) if scopes else None,
            "ca_cert_file_path": ca_cert_file,
            "insecure_skip_verify": insecure_skip_verify,
            "token_store": token_store,
        }
        try:
            self._native = _native.Session(
                json.dumps(
                    {name: value for name, value in parameters.items() if value is not None},
                    default=os.fspath,
                ),
                api_key=api_key,
                client_secret=client_secret,
                show=Prompt(),
                interactive=(headless or is_interactive()) if interactive is None else interactive,
            )
        except _native.CallError as error:
            raise translated(error, "cannot use these settings") from None

    @property
    def endpoint(self) -> str:
        """The control plane, as a URL."""
        admin = json.loads(self._native.config())["admin"]
        scheme = "http" if admin["insecure"] else "https"
        address: str = admin["endpoint"]
        return address if "://" in address else f"{scheme}://{address}"

    @dual
    async def header(self) -> tuple[str, str] | None:
        """Returns the name and the value of the header that carries a valid token; None if calls carry none.

        Renews the token, and signs the user in, if needed. The name is the one that the control plane asks for, and not always
        `authorization`. If the control plane rejects the token, call `reject` and then this method again, once.

        Raises any error of `flyte_auth.errors`.
        """
        found = await self._wait(self._native.authorization, self._native.authorization_async, "no token")
        return None if found is None else found[:2]

    @dual
    async def token(self) -> str:
        """Returns a valid access token. Renews it, and signs the user in, if needed.

        Raises any error of `flyte_auth.errors`: `ConfigurationError` also if calls to this control plane carry no token.
        """
        found = await self._wait(self._native.authorization, self._native.authorization_async, "no token")
        if found is None:
            raise ConfigurationError(f"no token: calls to {self.endpoint} carry none")
        return token_of(found[1])

    def reject(self, token: str) -> None:
        """Notes that the control plane rejected this token: it is not used again, and the next call gets a new one."""
        self._native.reject(token)

    @dual
    async def status(self) -> Status:
        """Returns the status of the login, without using the network.

        Raises `FlyteAuthError` if the keyring or the file cannot be read.
        """
        return Status.read(
            await self._wait(self._native.status, self._native.status_async, "cannot read the login")
        )

    @dual
    async def login(self) -> None:
        """Signs in, even if there is already a login. A machine gets a new token.

        Raises `AuthenticationError`; the previous login stays then.
        """
        await self._wait(self._native.login, self._native.login_async, "cannot sign in")

    @dual
    async def logout(self) -> SignedOut:
        """Signs out: revokes the tokens at the control plane and removes them here, for all Flyte tools.

        Raises `FlyteAuthError` if they could not be removed.
        """
        done = await self._wait(self._native.logout, self._native.logout_async, "cannot sign out")
        return SignedOut(**json.loads(done))

    @staticmethod
    def _wait(block: Callable[[], R], start: Callable[[], Awaitable[R]], what: str) -> Waiting[R]:
        """Waits for the native half in either form; its errors become those of this package."""

        def blocking() -> R:
            try:
                return block()
            except _native.CallError as error:
                raise translated(error, what) from None

        async def awaiting() -> R:
            try:
                return await start()
            except _native.CallError as error:
                raise translated(error, what) from None

        return Waiting(blocking, awaiting)


def token_of(value: str) -> str:
    """The token in the value of its header."""
    return value.removeprefix("Bearer ")


@dual
async def token(endpoint: str | None = None) -> str:
    """Returns a valid access token of a control plane, by default the configured one. See `Session.token`.

    Keep a `Session` if you need a token more than once: it answers from memory.
    """
    return await Session(endpoint).token.aio()


@dual
async def status(endpoint: str | None = None) -> Status:
    """Returns the status of a control plane's login, by default the configured one's. See `Session.status`."""
    return await Session(endpoint).status.aio()


@dual
async def login(endpoint: str | None = None) -> None:
    """Signs in to a control plane, by default the configured one. See `Session.login`."""
    await Session(endpoint).login.aio()


@dual
async def logout(endpoint: str | None = None) -> SignedOut:
    """Signs out of a control plane, by default the configured one. See `Session.logout`."""
    return await Session(endpoint).logout.aio()


__all__ = ["Session", "SignedOut", "Status", "login", "logout", "status", "token"]

"""Authenticators of the SDK that use this package's sessions."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
from collections import OrderedDict
from typing import Any

from connectrpc.code import Code  # type: ignore[import-not-found,unused-ignore]
from connectrpc.errors import ConnectError  # type: ignore[import-not-found,unused-ignore]

from flyte.remote._client.auth._authenticators import factory  # type: ignore[import-not-found,unused-ignore]
from flyte.remote._client.auth._authenticators.base import (  # type: ignore[import-not-found,unused-ignore]
    AsyncAuthenticatedClient,
    Authenticator,
    AuthHeaders,
)
from flyte.remote._client.auth.errors import (  # type: ignore[import-not-found,unused-ignore]
    AuthenticationError,
)
from flyte_auth import _native
from flyte_auth._prompt import Prompt
from flyte_auth._sdk import log
from flyte_auth._session import token_of
from flyte_auth.errors import UnavailableError, translated

_MARK = "_flyte_auth"
# What the SDK calls the ways to sign in. `Passthrough` needs no session.
_AUTH_TYPES = frozenset({"Pkce", "DeviceFlow", "ClientSecret", "ExternalCommand"})
# What the factory is given that is not for us, or that a session has by itself.
_IGNORED = frozenset({"cfg_store", "http_session", "insecure", "client_secret", "verify", "ca_cert_path"})
# Rejected tokens are looked up by what the SDK calls the ID of the credentials.
_REMEMBERED = 8

# One session for each control plane and way to sign in: the SDK makes an authenticator for each kind of call.
_sessions: dict[tuple[str, str | None], _native.Session] = {}


def replace_factory() -> None:
    """Makes the SDK create our authenticators. What they do not handle remains with the SDK's own."""
    original = factory.get_async_authenticator
    if hasattr(original, _MARK):
        return
    names = inspect.signature(original).parameters
    if not {"endpoint", "cfg_store", "auth_type", "command", "ca_cert_file_path"} <= names.keys():
        raise RuntimeError("its factory of authenticators has another shape")

    @functools.wraps(original)
    def get_async_authenticator(endpoint: str, cfg_store: Any, **kwargs: Any) -> Any:
        try:
            session = _session(endpoint, **kwargs)
        except Exception as error:
            log.debug("the Flyte SDK signs in to %s by itself: %s", endpoint, error)
            session = None
        if session is None:
            return original(endpoint, cfg_store, **kwargs)
        return SessionAuthenticator(endpoint, session)

    setattr(get_async_authenticator, _MARK, True)
    factory.get_async_authenticator = get_async_authenticator


def _session(
    endpoint: str,
    *,
    auth_type: str = "Pkce",
    command: list[str] | None = None,
    ca_cert_file_path: str | None = None,
    client_config: Any = None,
    client_credentials_secret: str | None = None,
    client_id: str | None = None,
    credentials: Any = None,
    disable_keyring: bool = False,
    headless: bool = False,
    http_proxy_url: str | None = None,
    insecure_skip_verify: bool = False,
    scopes: list[str] | None = None,
    **others: Any,
) -> _native.Session | None:
    """The session of these arguments of the SDK; None if its own authenticator is the right one."""
    unknown = {name for name, value in others.items() if value is not None and name not in _IGNORED}
    if isinstance(others.get("http_session"), AsyncAuthenticatedClient):
        unknown.add("proxy_command")
    if auth_type not in _AUTH_TYPES or client_config or credentials or unknown:
        log.debug("the Flyte SDK signs in by itself: %s", unknown or auth_type)
        return None
    is_machine = auth_type in ("ClientSecret", "ExternalCommand")
    parameters = {
        "endpoint": endpoint,
        # The SDK's default: ours shows a code for another device if there is no browser here.
        "auth_type": None if auth_type == "Pkce" else auth_type,
        "command": command if auth_type == "ExternalCommand" else None,
        "ca_cert_file_path": ca_cert_file_path,
        "client_id": client_id if auth_type == "ClientSecret" else None,
        "disable_keyring": disable_keyring,
        "headless": headless and not is_machine,
        "http_proxy_url": http_proxy_url,
        "insecure_skip_verify": insecure_skip_verify and not ca_cert_file_path,
        "scopes": scopes,
        "token_store": None if is_machine or disable_keyring else _configured_store(endpoint),
    }
    text = json.dumps({name: value for name, value in parameters.items() if value is not None})
    secret = client_credentials_secret if auth_type == "ClientSecret" else None
    session = _sessions.get((text, secret))
    if session is None:
        session = _native.Session(
            text,
            client_secret=secret,
            show=Prompt(command="flyte-auth"),
            # As the SDK does, ask also without a terminal, for example in an editor; but not in a task.
            interactive=not is_machine and "FLYTE_INTERNAL_EXECUTION_PROJECT" not in os.environ,
        )
        _sessions[text, secret] = session
    return session


def _configured_store(endpoint: str) -> str | None:
    """`admin.tokenStore` of the configuration file, which the SDK does not know."""
    from flyte._initialize import _get_init_config  # type: ignore[attr-defined,import-not-found,unused-ignore]

    described = _get_init_config()
    path = getattr(described, "source_config_path", None)
    try:
        admin = json.loads(_native.config(None if path is None else os.fspath(path)))["admin"]
    except _native.CallError:
        return None
    address = str(admin["endpoint"] or "").rpartition("://")[2].strip("/")
    store: str | None = admin["tokenStore"] if address == endpoint.rpartition("://")[2].strip("/") else None
    return store


class SessionAuthenticator(Authenticator):  # type: ignore[misc,unused-ignore]
    """An authenticator whose credentials are those of a session.

    It neither reads nor writes the keyring itself: the session does, in the entry that the SDK uses, and renews the login for all
    processes at once. The base class's constructor would read the keyring and create an HTTP client, so it is not called.
    """

    def __init__(self, endpoint: str, session: _native.Session) -> None:
        self._endpoint = endpoint
        self._session = session
        self._creds = None
        self._creds_id = None
        self._sent: OrderedDict[str, str] = OrderedDict()

    async def get_auth_headers(self) -> AuthHeaders | None:
        """The header with a valid token; None if calls carry none. Renews the token, and signs the user in, if needed."""
        try:
            found = await self._session.authorization_async()
        except _native.CallError as error:
            raise _error(error) from None
        if found is None:
            return None
        name, value, _ = found
        token = token_of(value)
        name_of_token = hashlib.sha256(token.encode()).hexdigest()
        self._sent[name_of_token] = token
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
        return AuthHeaders(creds_id=name_of_token, headers={name: value})

    async def refresh_credentials(self, creds_id: str | None = None) -> None:
        """Called when the server rejected the token with this ID. The next header has another one."""
        token = self._sent.pop(creds_id or "", None)
        if token is not None:
            self._session.reject(token)

    async def _do_refresh_credentials(self) -> Any:
        raise NotImplementedError("the session renews its tokens itself")


def _error(error: _native.CallError) -> Exception:
    """The SDK's form of an error."""
    ours = translated(error, "cannot sign in")
    if isinstance(ours, UnavailableError):
        return ConnectError(Code.UNAVAILABLE, str(ours))  # type: ignore[no-any-return,unused-ignore]
    return AuthenticationError(str(ours))  # type: ignore[no-any-return,unused-ignore]

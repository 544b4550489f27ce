"""Sign-in, tokens and sessions for Flyte 2.

    import flyte_auth

    token = flyte_auth.token()                      # of the control plane in the configuration file
    session = flyte_auth.Session("flyte.example.com")
    client = httpx.Client(auth=flyte_auth.httpx_auth(session))

Importing it is quick: the native half is loaded when something needs it.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flyte_auth._http import httpx_auth, requests_auth
    from flyte_auth._native import __version__
    from flyte_auth._session import Session, SignedOut, Status, login, logout, status, token
    from flyte_auth.errors import (
        AuthenticationError,
        ConfigurationError,
        FlyteAuthError,
        LoginRequiredError,
        UnavailableError,
    )

_PLACES = {
    "AuthenticationError": "flyte_auth.errors",
    "ConfigurationError": "flyte_auth.errors",
    "FlyteAuthError": "flyte_auth.errors",
    "LoginRequiredError": "flyte_auth.errors",
    "Session": "flyte_auth._session",
    "SignedOut": "flyte_auth._session",
    "Status": "flyte_auth._session",
    "UnavailableError": "flyte_auth.errors",
    "__version__": "flyte_auth._native",
    "httpx_auth": "flyte_auth._http",
    "login": "flyte_auth._session",
    "logout": "flyte_auth._session",
    "requests_auth": "flyte_auth._http",
    "status": "flyte_auth._session",
    "token": "flyte_auth._session",
}

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "FlyteAuthError",
    "LoginRequiredError",
    "Session",
    "SignedOut",
    "Status",
    "UnavailableError",
    "__version__",
    "httpx_auth",
    "login",
    "logout",
    "requests_auth",
    "status",
    "token",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'flyte_auth' has no attribute {name!r}")
    value = getattr(importlib.import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})

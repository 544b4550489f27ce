"""Authentication for the HTTP libraries `httpx` and `requests`; each is needed only by its own function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flyte_auth._session import Session

if TYPE_CHECKING:
    import httpx
    from requests.auth import AuthBase


def origin(url: str) -> tuple[str, str, int | None]:
    """The origin of a URL (RFC 6454): scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def origins(session: Session, also: Iterable[str]) -> frozenset[tuple[str, str, int | None]]:
    """The origins that get the token: those of the control plane and of the URLs in `also`."""
    return frozenset(origin(url) for url in (session.endpoint, *also))


def httpx_auth(session: Session | None = None, *, also: Iterable[str] = ()) -> httpx.Auth:
    """Authentication for `httpx.Client` and `httpx.AsyncClient`: `httpx.get(url, auth=flyte_auth.httpx_auth())`.

    The token goes only to the control plane and to the origins of the URLs in `also`, for example an app's. If the server answers
    401, the token is renewed and the request sent once more.

    Raises `ImportError` if `httpx` is not installed.
    """
    from flyte_auth._httpx import HttpxAuth

    return HttpxAuth(session or Session(), also)


def requests_auth(session: Session | None = None, *, also: Iterable[str] = ()) -> AuthBase:
    """Authentication for `requests`: `requests.get(url, auth=flyte_auth.requests_auth())`. Otherwise as `httpx_auth`.

    Raises `ImportError` if `requests` is not installed.
    """
    from flyte_auth._requests import RequestsAuth

    return RequestsAuth(session or Session(), also)

"""Authentication for `httpx`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable

import httpx

from flyte_auth._http import origin, origins
from flyte_auth._session import Session, token_of


class HttpxAuth(httpx.Auth):
    """Sends the token of a session. See `flyte_auth.httpx_auth`."""

    def __init__(self, session: Session, also: Iterable[str]) -> None:
        self._session = session
        self._origins = origins(session, also)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        header = self._session.header() if self._is_meant(request) else None
        if header is None:
            yield request
            return
        request.headers[header[0]] = header[1]
        response = yield request
        if response.status_code == 401:
            response.read()
            self._session.reject(token_of(header[1]))
            header = self._session.header()
            if header is not None:
                request.headers[header[0]] = header[1]
                yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        header = await self._session.header.aio() if self._is_meant(request) else None
        if header is None:
            yield request
            return
        request.headers[header[0]] = header[1]
        response = yield request
        if response.status_code == 401:
            await response.aread()
            self._session.reject(token_of(header[1]))
            header = await self._session.header.aio()
            if header is not None:
                request.headers[header[0]] = header[1]
                yield request

    def _is_meant(self, request: httpx.Request) -> bool:
        return origin(str(request.url)) in self._origins

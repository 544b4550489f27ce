"""Authentication for `requests`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from flyte_auth._http import origin, origins
from flyte_auth._session import Session, token_of


class RequestsAuth(AuthBase):
    """Sends the token of a session. See `flyte_auth.requests_auth`."""

    def __init__(self, session: Session, also: Iterable[str]) -> None:
        self._session = session
        self._origins = origins(session, also)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        header = self._session.header() if origin(request.url or "") in self._origins else None
        if header is None:
            return request
        request.headers[header[0]] = header[1]
        body: Any = request.body
        position = body.tell() if hasattr(body, "tell") else None

        def again(response: Response, **arguments: Any) -> Response:
            if response.is_redirect:
                # `requests` copies headers to where a request is redirected; to another origin, it drops only `Authorization`.
                if origin(urljoin(response.url, response.headers["location"])) not in self._origins:
                    response.request.headers.pop(header[0], None)
                return response
            # The hook is copied to where the request is redirected.
            if response.status_code != 401 or origin(response.url) not in self._origins:
                return response
            self._session.reject(token_of(header[1]))
            renewed = self._session.header()
            if renewed is None or (hasattr(body, "read") and position is None):
                return response
            # The connection is free again after the body was read.
            _ = response.content
            response.close()
            second = response.request.copy()
            second.deregister_hook("response", again)
            if position is not None:
                body.seek(position)
            second.headers[renewed[0]] = renewed[1]
            connection: Any = response.connection
            answer: Response = connection.send(second, **arguments)
            answer.history.append(response)
            answer.request = second
            return answer

        request.register_hook("response", again)
        return request

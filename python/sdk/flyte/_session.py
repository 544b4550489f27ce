"""Calls to the control plane as Python sees them: dictionaries in and out, errors of `flyte.errors`."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from flyte._failure import translated
from flyte_auth import _native
from flyte_auth._dual import Waiting

Message = dict[str, Any]
R = TypeVar("R")

# What `flyte.remote.auth_metadata` adds to each call made within it.
headers: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("flyte_headers", default=())

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IN_WORDS = {
    "flyteidl2.auth.IdentityService/UserInfo": "find out who you are",
    "flyteidl2.app.AppService/List": "list apps",
    "flyteidl2.workflow.RunLogsService/TailLogs": "read logs",
    "flyteidl2.app.AppService/Get": "get app",
}


def in_words(method: str) -> str:
    """What a method does, in words: "list projects"."""
    return _IN_WORDS.get(method) or " ".join(_WORDS.split(method.rpartition("/")[2])).lower()


def waiting(block: Callable[[], R], start: Callable[[], Awaitable[R]], what: str) -> Waiting[R]:
    """Waits for the native module in either form; `what` says what failed."""

    def blocking() -> R:
        try:
            return block()
        except _native.CallError as error:
            raise translated(error, what) from None

    async def awaited() -> R:
        try:
            return await start()
        except _native.CallError as error:
            raise translated(error, what) from None

    return Waiting(blocking, awaited)


class Session:
    """The login of one control plane, and calls to it."""

    def __init__(self, native: _native.Session) -> None:
        self.native = native
        self.config: Message = json.loads(native.config())

    def sign_in(self) -> Waiting[None]:
        """Makes sure that there is a token, and asks the user to sign in if needed; to be awaited in a dual function.

        Raises `AuthenticationError`.
        """
        return waiting(self.native.sign_in, self.native.sign_in_async, "cannot sign in")

    def call(self, method: str, request: Mapping[str, Any] | None = None) -> Waiting[Message]:
        """Calls a method (`package.Service/Method`); to be awaited in a dual function.

        Raises an error of `flyte.errors`, whose message begins with what the method does.
        """
        text = json.dumps(request or {})
        sent = list(headers.get())
        answer = waiting(
            lambda: self.native.call(method, text, sent),
            lambda: self.native.call_async(method, text, sent),
            f"cannot {in_words(method)}",
        )
        return answer.then(json.loads)

    async def stream(self, method: str, request: Mapping[str, Any] | None = None) -> AsyncIterator[Message]:
        """Calls a method that answers with a stream; to be iterated over in a dual function."""
        stream = self.native.stream(method, json.dumps(request or {}), list(headers.get()))

        def block() -> str | None:
            return next(stream, None)

        async def start() -> str | None:
            try:
                return await stream.__anext__()
            except StopAsyncIteration:
                return None

        while True:
            try:
                item = await Waiting(block, start)
            except _native.CallError as error:
                raise translated(error, f"cannot {in_words(method)}") from None
            if item is None:
                return
            yield json.loads(item)

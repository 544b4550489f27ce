"""Credentials for each call, set by the program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyte._session import headers


@contextmanager
def auth_metadata(*pairs: tuple[str, str]) -> Iterator[None]:
    """Sends these headers with each call made within; meant for `flyte.init_passthrough`.

    They apply to this thread, or to this asyncio task and the tasks that it starts. Raises ValueError without headers.
    """
    if not pairs:
        raise ValueError("auth_metadata needs at least one pair of a header's name and its value")
    token = headers.set(tuple((str(name), str(value)) for name, value in pairs))
    try:
        yield
    finally:
        headers.reset(token)


def get_auth_metadata() -> tuple[tuple[str, str], ...]:
    """The headers that calls are sent with here."""
    return headers.get()

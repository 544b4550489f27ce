"""Threads for functions that block: one each, so that a task waiting for a task that waits never holds up another."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


async def run_in_thread(function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Calls the function in a separate thread, with this context, and waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: R | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        elif isinstance(error, StopIteration):
            # Which no future takes.
            future.set_exception(RuntimeError(f"StopIteration: {error}"))
        else:
            future.set_exception(error)

    def call() -> None:
        result, error = None, None
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=call, name=f"flyte-{getattr(function, '__name__', 'task')}", daemon=True).start()
    return await future


def run_coroutine(coroutine: Coroutine[Any, Any, R]) -> R:
    """Runs a coroutine to its end from code that blocks, whether an event loop runs in this thread (as in a notebook) or not."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    result: list[R] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def call() -> None:
        try:
            result.append(context.run(asyncio.run, coroutine))
        except BaseException as raised:
            errors.append(raised)

    thread = threading.Thread(target=call, name="flyte-run", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]


class LoopThread:
    """An event loop in a separate thread, for blocking code that waits for coroutines."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Runs the coroutine there, with this context, and waits for it here."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Ends the loop; what runs in it is left."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)

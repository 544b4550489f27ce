"""One definition, two forms: `f()` blocks and `f.aio()` is awaited.

A function is written once, as a coroutine (or asynchronous generator) that waits for nothing but calls (`Call`, `Stream`).
Awaited, these wait in the running event loop. Blocking, there is no event loop at all: the coroutine is driven by hand, and
each call is made directly, in the caller's own thread. Blocking forms therefore work inside a running loop (a notebook),
end at Ctrl-C, show prompts in the calling thread, and survive a fork.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")


class _Mode(threading.local):
    """Whether the coroutine that runs in this thread is driven by hand."""

    blocking = False


_mode = _Mode()


class Waiting(Generic[R]):
    """Something that a dual function awaits, with a way to do it in each form."""

    def __init__(self, block: Callable[[], R], start: Callable[[], Any]) -> None:
        self._block = block
        self._start = start

    def __await__(self) -> Generator[Any, Any, R]:
        if _mode.blocking:
            result: R = yield self
            return result
        awaited: R = yield from self._start().__await__()
        return awaited

    def block(self) -> R:
        """Does it here and now."""
        return self._block()

    def then(self, after: Callable[[R], T]) -> Waiting[T]:
        """The same, and then something quick with what came of it."""

        async def start() -> T:
            return after(await self._start())

        return Waiting(lambda: after(self._block()), start)


def pause(seconds: float) -> Waiting[None]:
    """Does nothing for a while; to be awaited in a dual function."""

    def start() -> Any:
        import asyncio

        return asyncio.sleep(seconds)

    return Waiting(lambda: time.sleep(seconds), start)


def anything(start: Callable[[], Coroutine[Any, Any, R]]) -> Waiting[R]:
    """A coroutine that may wait for anything; to be awaited in a dual function. Blocking, it gets an event loop in a thread."""

    def block() -> R:
        outcome: list[R] = []
        failure: list[BaseException] = []
        context = contextvars.copy_context()

        def work() -> None:
            # Importing it takes longer than all of this package, and most programs do without.
            import asyncio

            try:
                outcome.append(context.run(asyncio.run, start()))
            except BaseException as error:
                failure.append(error)

        # In a separate thread, because an event loop may run in this one.
        thread = threading.Thread(target=work, name="flyte-wait", daemon=True)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return outcome[0]

    return Waiting(block, start)


def _drive(step: Callable[[Any], Any], throw: Callable[[BaseException], Any]) -> Any:
    """Runs a coroutine to its end (or to an item of a generator), making each call that it waits for."""
    send: Callable[[], Any] = functools.partial(step, None)
    while True:
        before, _mode.blocking = _mode.blocking, True
        try:
            waiting = send()
        except StopIteration as end:
            return end.value
        finally:
            _mode.blocking = before
        if not isinstance(waiting, Waiting):
            raise TypeError(f"a blocking form cannot wait for {waiting!r}; use its .aio form")
        try:
            result = waiting.block()
        except BaseException as error:
            send = functools.partial(throw, error)
        else:
            send = functools.partial(step, result)


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Runs a coroutine that waits for nothing but calls, in this thread, without an event loop."""
    try:
        result: R = _drive(coroutine.send, coroutine.throw)
        return result
    finally:
        coroutine.close()


def iterate(items: AsyncIterator[T]) -> Iterator[T]:
    """Iterates, in this thread and without an event loop, over what an asynchronous generator yields."""
    try:
        while True:
            step = items.__anext__().__await__()
            try:
                yield _drive(step.send, step.throw)
            except StopAsyncIteration:
                return
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            run(close())


class dual(Generic[P, R]):
    """A function with a blocking form and, as `.aio`, an awaitable one."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> None:
        functools.update_wrapper(self, function)
        self.aio = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return run(self.aio(*args, **kwargs))

    @overload
    def __get__(self, instance: None, owner: type) -> dual[P, R]: ...
    @overload
    def __get__(
        self: dual[Concatenate[Any, Q], R], instance: object, owner: type | None = None
    ) -> dual[Q, R]: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        return self if instance is None else type(self)(functools.partial(self.aio, instance))  # type: ignore[arg-type]


class dual_class(Generic[P, R]):
    """A method of a class (`Project.get`) in both forms."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        # What `@classmethod` made of it has to be a function again, to be bound together with its forms.
        self._function: Any = getattr(function, "__func__", function)
        functools.update_wrapper(cast(Any, self), self._function)

    def __get__(self, instance: object | None, owner: type) -> dual[P, R]:
        bound: dual[P, R] = dual(functools.partial(self._function, owner))
        functools.update_wrapper(bound, self._function)
        return bound


class dual_iterator(Generic[P, T]):
    """A function whose blocking form iterates and whose `.aio` form iterates asynchronously."""

    def __init__(self, function: Callable[P, AsyncIterator[T]]) -> None:
        functools.update_wrapper(self, function)
        self.aio = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return iterate(self.aio(*args, **kwargs))

    @overload
    def __get__(self, instance: None, owner: type) -> dual_iterator[P, T]: ...
    @overload
    def __get__(
        self: dual_iterator[Concatenate[Any, Q], T], instance: object, owner: type | None = None
    ) -> dual_iterator[Q, T]: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        return self if instance is None else type(self)(functools.partial(self.aio, instance))  # type: ignore[arg-type]


class dual_class_iterator(Generic[P, T]):
    """A method of a class that iterates (`Project.listall`) in both forms."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncIterator[T]]) -> None:
        # What `@classmethod` made of it has to be a function again, to be bound together with its forms.
        self._function: Any = getattr(function, "__func__", function)
        functools.update_wrapper(cast(Any, self), self._function)

    def __get__(self, instance: object | None, owner: type) -> dual_iterator[P, T]:
        bound: dual_iterator[P, T] = dual_iterator(functools.partial(self._function, owner))
        functools.update_wrapper(bound, self._function)
        return bound

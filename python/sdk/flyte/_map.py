"""Calling a task for each of many inputs, and grouping calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import Any

from flyte._context import surroundings, within
from flyte._task import Task


@contextlib.contextmanager
def group(name: str) -> Iterator[None]:
    """Calls of tasks in the `with` block are shown together, under a name."""
    with within(group=name):
        yield


def _taken(function: Any) -> tuple[Task[Any, Any], tuple[Any, ...], dict[str, Any]]:
    bound: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    if isinstance(function, partial):
        bound, keywords, function = function.args, dict(function.keywords), function.func
    if not isinstance(function, Task):
        raise TypeError(f"a task is mapped, not {function!r}: decorate the function with @env.task")
    if bound:
        raise TypeError("a partial of a mapped task has arguments by their names alone")
    return function, bound, keywords


def _calls(
    task: Task[Any, Any], iterables: tuple[Iterable[Any], ...], keywords: dict[str, Any]
) -> list[dict[str, Any]]:
    names = [name for name in task.interface.inputs if name not in keywords]
    if not iterables or len(iterables) > len(names):
        raise TypeError(
            f"{task.name} takes {', '.join(names) or 'nothing'}: give one list for each input, or some of them"
        )
    return [
        {**keywords, **dict(zip(names, values, strict=False))} for values in zip(*iterables, strict=False)
    ]


class _Map:
    """Maps tasks: `flyte.map(task, [1, 2, 3])`, or `flyte.map.aio(task, [1, 2, 3])`."""

    def __call__(
        self,
        func: Any,
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> Iterator[Any]:
        """Calls a task for each element of the lists, at the same time, and gives what they return, in order.

        `func` is a task, or a `functools.partial` of one that sets inputs by their names. `concurrency` calls (0: all) are made at once.
        What calls end in is given in their place, or, without `return_exceptions`, raised.

        In tasks that are coroutine functions, `flyte.map.aio` is iterated over with `async for`.
        """
        task, _, keywords = _taken(func)
        calls = _calls(task, args, keywords)
        controller = surroundings().controller
        if controller is None:
            yield from self._here(task, calls, return_exceptions)
            return
        results: list[Any] = controller.collect_sync(
            lambda: self._all(task, calls, group_name, concurrency, return_exceptions)
        )
        yield from results

    def _here(
        self, task: Task[Any, Any], calls: list[dict[str, Any]], return_exceptions: bool
    ) -> Iterator[Any]:
        """Outside of runs: the function itself, one call after the other."""
        from flyte._threads import run_coroutine

        for call in calls:
            try:
                value = task.func(**call)
                yield run_coroutine(value) if task.is_async else value
            except Exception as error:
                if not return_exceptions:
                    raise
                yield error

    async def _all(
        self,
        task: Task[Any, Any],
        calls: list[dict[str, Any]],
        group_name: str | None,
        concurrency: int,
        return_exceptions: bool,
    ) -> list[Any]:
        return [value async for value in self._each(task, calls, group_name, concurrency, return_exceptions)]

    async def aio(
        self,
        func: Any,
        *args: Iterable[Any],
        group_name: str | None = None,
        concurrency: int = 0,
        return_exceptions: bool = True,
    ) -> AsyncIterator[Any]:
        """The same, for `async for`: each result as soon as it and those before it are there."""
        task, _, keywords = _taken(func)
        async for value in self._each(
            task, _calls(task, args, keywords), group_name, concurrency, return_exceptions
        ):
            yield value

    async def _each(
        self,
        task: Task[Any, Any],
        calls: list[dict[str, Any]],
        group_name: str | None,
        concurrency: int,
        return_exceptions: bool,
    ) -> AsyncIterator[Any]:
        if concurrency < 0:
            raise ValueError("concurrency is not negative")
        limit = asyncio.Semaphore(concurrency) if concurrency else None

        async def one(call: dict[str, Any]) -> Any:
            async with limit or contextlib.nullcontext():
                return await task.aio(**call)

        with within(group=f"{task.name}_{group_name or 'map'}"):
            running = [asyncio.ensure_future(one(call)) for call in calls]
        try:
            for future in running:
                try:
                    yield await future
                except Exception as error:
                    if not return_exceptions:
                        raise
                    yield error
        finally:
            for future in running:
                future.cancel()
            await asyncio.gather(*running, return_exceptions=True)


map = _Map()

"""Steps of a task that are recorded: `@flyte.trace`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, TypeVar, cast

from flyte._cache import FunctionBodyPolicy, VersionParameters
from flyte._context import surroundings, within
from flyte._interface import NativeInterface
from flyte._unheeded import warn
from flyte.models import ActionID

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Step:
    """One call of a traced function: its identity in the run, and its result if an earlier attempt of the task recorded it."""

    name: str
    action: ActionID
    interface: NativeInterface
    inputs_url: str = ""
    replayed: bool = False
    value: Any = None
    error: Exception | None = None
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def result(self) -> Any:
        """What the earlier attempt recorded: returned or raised."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(frozen=True)
class Call:
    """A call of a traced function within a task."""

    function: Callable[..., Any]
    interface: NativeInterface
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The function's name."""
        return str(self.function.__name__)

    @property
    def identity(self) -> str:
        """The function's name and the hash of its body: an edited function is another step."""
        try:
            return (
                f"{self.name}-{FunctionBodyPolicy().get_version('', VersionParameters(self.function, None))}"
            )
        except (OSError, TypeError, SyntaxError):
            # Its source is not known, for example at a prompt.
            return self.name


def trace(func: F) -> F:
    """Records each call of a function that a running task makes, with its inputs, its result or error, and its times.

    Takes functions, coroutine functions and generators of both kinds. On a control plane, each call is an action of the run. If the
    task is run again after a failure, calls that succeeded are not made again: they give what was recorded. Tasks that the function
    calls run as plain functions. A local run records nothing, and outside of tasks the function is called as it is.
    """
    if inspect.isasyncgenfunction(func):
        made: Any = _async_generator(func)
    elif inspect.iscoroutinefunction(func):
        made = _coroutine(func)
    elif inspect.isgeneratorfunction(func):
        made = _generator(func)
    else:
        made = _function(func)
    return cast(F, functools.wraps(func)(made))


def _call(func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Call | None]:
    """The controller that records this call, and what it is; None outside of tasks, and for a call that cannot be recorded."""
    here = surroundings()
    recorder = here.controller or here.tracer
    if here.task is None or recorder is None:
        return None, None
    try:
        interface = _interface(func)
    except TypeError as error:
        warn(f"Calls of {func.__name__} are not recorded: {error}")
        return None, None
    return recorder, Call(func, interface, interface.convert_to_kwargs(*args, **kwargs))


def _interface(func: Callable[..., Any]) -> NativeInterface:
    """The function's interface; what a generator yields is a list."""
    if not (inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func)):
        return NativeInterface.from_callable(func)
    interface = NativeInterface.from_callable(func)
    yielded = [typing.get_args(returned)[:1] for returned in interface.outputs.values()]
    item = yielded[0][0] if yielded and yielded[0] else Any
    items: Any = list
    return replace(interface, outputs={"o0": items[item]})


def _inside(recorder: Any, step: Step) -> contextlib.AbstractContextManager[Any]:
    """The surroundings of a traced function: tasks that it calls are functions, and steps within it are recorded."""
    task = surroundings().task
    assert task is not None, "steps are recorded in tasks alone"
    return within(task=task.replace(action=step.action), controller=None, tracer=recorder)


def _function(func: Callable[..., Any]) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        recorder, call = _call(func, args, kwargs)
        if call is None:
            return func(*args, **kwargs)
        step: Step = recorder.collect_sync(lambda: recorder.begin_step(call))
        if step.replayed:
            return step.result()
        try:
            with _inside(recorder, step):
                value = func(*args, **kwargs)
        except Exception as error:
            failure = error
            recorder.collect_sync(lambda: recorder.end_step(step, None, failure))
            raise
        recorder.collect_sync(lambda: recorder.end_step(step, value, None))
        return value

    return traced


def _coroutine(func: Callable[..., Any]) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        recorder, call = _call(func, args, kwargs)
        if call is None:
            return await func(*args, **kwargs)
        step: Step = await recorder.collect(lambda: recorder.begin_step(call))
        if step.replayed:
            return step.result()
        try:
            with _inside(recorder, step):
                value = await func(*args, **kwargs)
        except Exception as error:
            failure = error
            await recorder.collect(lambda: recorder.end_step(step, None, failure))
            raise
        await recorder.collect(lambda: recorder.end_step(step, value, None))
        return value

    return traced


# A generator shares the context of the code that reads it. Its surroundings are therefore set for each of its steps alone.


def _generator(func: Callable[..., Any]) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Iterator[Any]:
        recorder, call = _call(func, args, kwargs)
        if call is None:
            yield from func(*args, **kwargs)
            return
        step: Step = recorder.collect_sync(lambda: recorder.begin_step(call))
        if step.replayed:
            yield from step.result()
            return
        items: list[Any] = []
        made, end = func(*args, **kwargs), object()
        try:
            while True:
                with _inside(recorder, step):
                    item = next(made, end)
                if item is end:
                    break
                items.append(item)
                yield item
        except Exception as error:
            failure = error
            recorder.collect_sync(lambda: recorder.end_step(step, None, failure))
            raise
        finally:
            made.close()
        recorder.collect_sync(lambda: recorder.end_step(step, items, None))

    return traced


def _async_generator(func: Callable[..., Any]) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        recorder, call = _call(func, args, kwargs)
        if call is None:
            async for item in func(*args, **kwargs):
                yield item
            return
        step: Step = await recorder.collect(lambda: recorder.begin_step(call))
        if step.replayed:
            for item in step.result():
                yield item
            return
        items: list[Any] = []
        made, end = func(*args, **kwargs), object()
        try:
            while True:
                with _inside(recorder, step):
                    item = await anext(made, end)
                if item is end:
                    break
                items.append(item)
                yield item
        except Exception as error:
            failure = error
            await recorder.collect(lambda: recorder.end_step(step, None, failure))
            raise
        finally:
            await made.aclose()
        await recorder.collect(lambda: recorder.end_step(step, items, None))

    return traced

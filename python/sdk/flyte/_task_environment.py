"""Environments that tasks are made in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, overload

from flyte._cache import CacheRequest
from flyte._environment import Environment
from flyte._retry import RetryStrategy
from flyte._reuse import ReusePolicy
from flyte._task import Task, make_task
from flyte._timeout import TimeoutType
from flyte.models import MAX_INLINE_IO_BYTES

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class TaskEnvironment(Environment):
    """What several tasks have in common. `@env.task` makes a task of a function.

    `name` is the first half of the tasks' names: the function `main` of the environment `hello` is the task `hello.main`.
    """

    cache: CacheRequest = "disable"
    # Has no effect: see `ReusePolicy`.
    reusable: ReusePolicy | None = None
    queue: str | None = None
    _tasks: dict[str, Task[Any, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reusable is not None and not isinstance(self.reusable, ReusePolicy):
            raise TypeError(
                f"reusable of the environment {self.name} is a ReusePolicy, not {self.reusable!r}"
            )

    @property
    def tasks(self) -> dict[str, Task[Any, Any]]:
        """The environment's tasks by their names."""
        return self._tasks

    @overload
    def task(self, _func: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, _func: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        *,
        short_name: str | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy = 0,
        timeout: TimeoutType | None = None,
        docs: Any = None,
        pod_template: str | None = None,
        report: bool = False,
        interruptible: bool | None = None,
        max_inline_io_bytes: int = MAX_INLINE_IO_BYTES,
        queue: str | None = None,
        service_account: str | None = None,
        triggers: Any = (),
        links: Any = (),
        entrypoint: bool = False,
    ) -> Callable[[Callable[P, Any]], Task[P, Any]]: ...

    # The variable of the third form is bound when the decorator is called.
    def task(  # type: ignore[misc]
        self,
        _func: Callable[..., Any] | None = None,
        /,
        *,
        short_name: str | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy = 0,
        timeout: TimeoutType | None = None,
        docs: Any = None,
        pod_template: str | None = None,
        report: bool = False,
        interruptible: bool | None = None,
        max_inline_io_bytes: int = MAX_INLINE_IO_BYTES,
        queue: str | None = None,
        service_account: str | None = None,
        triggers: Any = (),
        links: Any = (),
        entrypoint: bool = False,
    ) -> Any:
        """Makes a task of a function, a coroutine function or another: `@env.task`, or `@env.task(retries=3)`.

        What is not given here is the environment's. The interface is the function's annotations, the documentation its docstring.

        Raises TypeError if the function cannot be a task, or ValueError with the name of a wrong setting.
        """

        def decorate(function: Callable[..., Any]) -> Task[..., Any]:
            policy = self.reusable
            if policy is not None and policy.concurrency > 1 and not inspect.iscoroutinefunction(function):
                raise ValueError(
                    f"{function.__name__} blocks, so the concurrency of its environment's ReusePolicy has to be 1"
                )
            task = make_task(
                function,
                self,
                docs=docs,
                reusable=policy,
                short_name=short_name,
                image=self.image,
                resources=self.resources,
                cache=cache or self.cache,
                retries=retries,
                timeout=timeout,
                env_vars=self.env_vars,
                secrets=self.secrets,
                service_account=service_account or self.service_account,
                pod_template=pod_template or self.pod_template,
                report=report,
                interruptible=self.interruptible if interruptible is None else interruptible,
                max_inline_io_bytes=max_inline_io_bytes,
                queue=queue or self.queue,
                triggers=tuple(triggers) if isinstance(triggers, (list, tuple)) else (triggers,),
                links=tuple(links) if isinstance(links, (list, tuple)) else (links,),
                entrypoint=entrypoint,
            )
            self._tasks[task.name] = task
            return task

        return decorate if _func is None else decorate(_func)


# The environment of `@flyte.task`, made when it is first needed.
_default: list[TaskEnvironment] = []


def default_environment() -> TaskEnvironment:
    """The environment of tasks that name none."""
    if not _default:
        _default.append(TaskEnvironment(name="default"))
    return _default[0]


@overload
def task(_func: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def task(_func: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**settings: Any) -> Callable[[Callable[P, Any]], Task[P, Any]]: ...


def task(_func: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
    """Makes a task of a function, in an environment named `default`: `@flyte.task`, or `@flyte.task(retries=3)`.

    Takes what `TaskEnvironment.task` takes. Tasks that need more of an environment (an image, resources, secrets) are made in one of
    their own.
    """
    environment = default_environment()
    return environment.task(**settings) if _func is None else environment.task(_func)

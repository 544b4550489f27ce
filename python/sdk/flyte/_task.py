"""Tasks: functions that can be run elsewhere."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar

from flyte._cache import Cache, CacheRequest, cache_of
from flyte._context import surroundings
from flyte._image import Image, image_of
from flyte._interface import NativeInterface
from flyte._resources import Resources
from flyte._retry import RetryStrategy, retry_strategy
from flyte._reuse import ReusePolicy
from flyte._secret import SecretRequest
from flyte._timeout import TimeoutType, timeout_of
from flyte.models import MAX_INLINE_IO_BYTES

if TYPE_CHECKING:
    from flyte._task_environment import TaskEnvironment

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(kw_only=True, eq=False)
class Task(Generic[P, R]):
    """A function with what it needs to be run elsewhere; `@env.task` makes it.

    Called outside of runs it is the function. Called by a running task, the control plane runs it (or, in a local run, this
    process), and the call gives what it returns.
    """

    func: Callable[P, Any]
    name: str
    short_name: str
    interface: NativeInterface
    task_type: str = "python"
    task_type_version: int = 0
    image: str | Image | None = "auto"
    resources: Resources | None = None
    cache: CacheRequest = "disable"
    interruptible: bool = False
    retries: int | RetryStrategy = 0
    timeout: TimeoutType | None = None
    env_vars: dict[str, str] | None = None
    secrets: SecretRequest | None = None
    service_account: str | None = None
    pod_template: str | None = None
    report: bool = False
    queue: str | None = None
    debuggable: bool = True
    entrypoint: bool = False
    max_inline_io_bytes: int = MAX_INLINE_IO_BYTES
    triggers: tuple[Any, ...] = ()
    links: tuple[Any, ...] = ()
    # The documentation: a text, or an object with a `description`; by default the function's docstring.
    docs: Any = None
    # Has no effect: see `ReusePolicy`.
    reusable: ReusePolicy | None = None
    parent_env_name: str | None = None
    _environment: Callable[[], TaskEnvironment | None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.image = image_of(self.image)
        self.cache = cache_of(self.cache)
        self.retries = retry_strategy(self.retries)
        self.timeout = timeout_of(self.timeout)
        if self.docs is not None and not isinstance(getattr(self.docs, "description", self.docs), str):
            raise TypeError(f"docs of {self.name} is a text or has one as its description, not {self.docs!r}")
        self.__name__ = self.func.__name__
        self.__doc__ = self.func.__doc__
        self.__module__ = self.func.__module__
        self.__wrapped__ = self.func

    def __getstate__(self) -> dict[str, Any]:
        # References to the environment do not travel.
        return {**self.__dict__, "_environment": None}

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.func)

    @property
    def native_interface(self) -> NativeInterface:
        """The inputs and outputs."""
        return self.interface

    @property
    def environment(self) -> TaskEnvironment | None:
        """The environment that it was made in, while that is there."""
        return self._environment() if self._environment is not None else None

    @property
    def source_file(self) -> str | None:
        """The file that the function is in."""
        code = getattr(self.func, "__code__", None)
        return code.co_filename if code is not None else None

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Calls the function itself, wherever that is."""
        return self.func(*args, **kwargs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        controller = surroundings().controller
        if controller is None:
            return self.func(*args, **kwargs)
        if self.is_async:
            return controller.submit(self, args, kwargs)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return controller.submit_sync(self, args, kwargs)
        from flyte.errors import RuntimeUserError

        raise RuntimeUserError(
            "SyncTaskCallInAsyncContext",
            f"{self.name} blocks until it is done, and was called from a coroutine, which it would hold up: write `await {self.__name__}.aio(...)`.",
        )

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls a blocking task from a coroutine."""
        controller = surroundings().controller
        if controller is not None:
            result: R = await controller.submit(self, args, kwargs)
            return result
        value = self.func(*args, **kwargs)
        here: R = await value if inspect.isawaitable(value) else value
        return here

    def override(
        self,
        *,
        short_name: str | None = None,
        resources: Resources | None = None,
        cache: CacheRequest | None = None,
        retries: int | RetryStrategy | None = None,
        timeout: TimeoutType | None = None,
        env_vars: dict[str, str] | None = None,
        secrets: SecretRequest | None = None,
        service_account: str | None = None,
        max_inline_io_bytes: int | None = None,
        pod_template: str | None = None,
        queue: str | None = None,
        interruptible: bool | None = None,
        entrypoint: bool | None = None,
        links: tuple[Any, ...] | None = None,
        reusable: ReusePolicy | Literal["off"] | None = None,
    ) -> Task[P, R]:
        """The same task with other settings, for the calls that are made of what this gives."""
        changes = {name: value for name, value in locals().items() if name != "self" and value is not None}
        if reusable == "off":
            changes["reusable"] = None
        elif reusable is not None:
            from flyte import _unheeded

            _unheeded.warn(_unheeded.reuse(f"the task {self.name}"))
        return replace(self, **changes)

    async def execute(self, **inputs: Any) -> Any:
        """Runs the function; a blocking function runs in a separate thread."""
        if self.is_async:
            return await self.func(**inputs)  # type: ignore[call-arg]
        from flyte._threads import run_in_thread

        return await run_in_thread(self.func, **inputs)

    @property
    def cache_settings(self) -> Cache:
        """How results are kept."""
        return cache_of(self.cache)


def make_task(function: Callable[P, Any], environment: TaskEnvironment, **settings: Any) -> Task[P, Any]:
    """A task of a function in an environment. Raises TypeError if the function cannot be a task."""
    if not callable(function) or not hasattr(function, "__name__"):
        raise TypeError(f"a task is made of a function, not of {function!r}")
    short_name = settings.pop("short_name", None) or function.__name__
    return Task(
        func=function,
        name=f"{environment.name}.{function.__name__}",
        short_name=short_name,
        interface=NativeInterface.from_callable(function),
        parent_env_name=environment.name,
        _environment=weakref.ref(environment),
        **settings,
    )

"""The context of running code: its task, the place for its data, and how to upload."""

from __future__ import annotations

import contextlib
import contextvars
import pathlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte.models import TaskContext

# Stores bytes or a file under a name, and returns their URL.
Uploader = Callable[["bytes | pathlib.Path", str], Awaitable[str]]


@dataclass(frozen=True)
class Surroundings:
    """Everything that is known, at one place in the program."""

    task: TaskContext | None = None
    # Runs the tasks that the running task calls; None outside of tasks, and in tasks that were called as plain functions.
    controller: Any = None
    # Records the steps within a traced function, where `controller` is None.
    tracer: Any = None
    # The group for calls of tasks.
    group: str | None = None
    upload: Uploader | None = None
    # Whether the data may come from an untrusted party. Then pickles stay unread, because reading one executes code.
    foreign: bool = False


_surroundings: contextvars.ContextVar[Surroundings] = contextvars.ContextVar(
    "flyte_surroundings",
    # Frozen.
    default=Surroundings(),  # noqa: B039
)


def surroundings() -> Surroundings:
    """What is known here."""
    return _surroundings.get()


@contextlib.contextmanager
def within(**changes: Any) -> Iterator[Surroundings]:
    """Changes what is known, for the code in the `with` block and the coroutines that it starts."""
    changed = replace(_surroundings.get(), **changes)
    token = _surroundings.set(changed)
    try:
        yield changed
    finally:
        _surroundings.reset(token)


def ctx() -> TaskContext:
    """The running task's context. Outside of tasks it is false, and all that is in it is None."""
    task = _surroundings.get().task
    if task is None:
        from flyte.models import NO_TASK

        return NO_TASK
    return task


def raw_data_path() -> str | None:
    """The URL prefix for the running task's data; None outside of tasks."""
    task = _surroundings.get().task
    return task.raw_data_path.path if task is not None else None


def uploader() -> Uploader | None:
    """Uploads data for a task that runs elsewhere; None if no upload is needed."""
    here = _surroundings.get()
    return here.upload if here.task is None else None


def trusted_authority() -> str | None:
    """The file of the certificate authority of the control plane, if the configuration names one."""
    initialize = sys.modules.get("flyte._initialize")
    if initialize is None or not initialize.is_initialized():
        return None
    session = initialize.initialized().session
    return session.config.get("admin", {}).get("caCertFilePath") or None if session is not None else None

"""Runs the tasks that a running task calls in this process: each with its inputs and outputs as they would travel."""

from __future__ import annotations

import asyncio
import contextvars
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flyte._context import surroundings, within
from flyte._retry import retry_strategy
from flyte._task import Task
from flyte._threads import LoopThread
from flyte.models import ActionID, GroupData, RawDataPath, TaskContext

if TYPE_CHECKING:
    from flyte._trace import Call, Step


class Controller(Protocol):
    """Runs the tasks that a running task calls."""

    async def submit(self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Runs a task and gives what it returns. Raises what it ends in, as an error of `flyte.errors`."""

    def submit_sync(self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """`submit`, for code that blocks, in a thread without an event loop."""

    async def begin_step(self, call: Call) -> Step:
        """Identifies a call of a traced function, and finds what an earlier attempt of the task recorded of it."""

    async def end_step(self, step: Step, value: Any, error: Exception | None) -> None:
        """Records what came of the call."""


class BlockingCalls:
    """Runs coroutines for blocking code, in an event loop in a separate thread that is created on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None

    def wait(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Runs a coroutine to its end."""
        with self._lock:
            if self._thread is None:
                self._thread = LoopThread("flyte-calls")
        # The coroutine's task takes this thread's context.
        return contextvars.copy_context().run(self._thread.wait, make())

    def stop(self) -> None:
        """Ends the thread."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None


class LocalController:
    """Runs everything in this process."""

    def __init__(self, base: str | None = None) -> None:
        """`base` is the directory for what tasks store; by default a new one."""
        self._calls = BlockingCalls()
        self._base = base

    def stop(self) -> None:
        """Ends the threads that waited."""
        self._calls.stop()

    async def submit(self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Runs a task and gives what it returns. Raises what it ends in, as an error of `flyte.errors`."""
        from flyte._runtime.convert import from_outputs, inputs_digest, to_inputs

        parent = surroundings().task
        assert parent is not None, "a controller is there in tasks alone"
        given = task.interface.convert_to_kwargs(*args, **kwargs)
        inputs = await to_inputs(task.interface, given, parent.custom_context)
        digest = inputs_digest(inputs)
        group = surroundings().group
        sequence = parent.calls.next(f"{task.name}:{digest}:{group}")
        action = parent.action.child(task.name, digest, sequence, group)
        outputs = await self.execute(task, action, inputs, parent)
        return await from_outputs(task.interface, outputs)

    def submit_sync(self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """`submit`, for code that blocks."""
        return self._calls.wait(lambda: self.submit(task, args, kwargs))

    def collect_sync(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Runs a coroutine that submits, for code that blocks."""
        return self._calls.wait(make)

    async def collect(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Runs a coroutine that submits."""
        return await make()

    async def begin_step(self, call: Call) -> Step:
        """Identifies a call of a traced function. Nothing was recorded of it."""
        from flyte._runtime.convert import inputs_digest, to_inputs
        from flyte._trace import Step

        parent = surroundings().task
        assert parent is not None, "steps are recorded in tasks alone"
        digest = inputs_digest(await to_inputs(call.interface, call.arguments))
        group = surroundings().group
        sequence = parent.calls.next(f"{call.identity}:{digest}:{group}")
        return Step(call.name, parent.action.child(call.identity, digest, sequence, group), call.interface)

    async def end_step(self, step: Step, value: Any, error: Exception | None) -> None:
        """Does nothing: a local run is over when its process ends."""

    async def execute(
        self, task: Task[Any, Any], action: ActionID, inputs: dict[str, Any], parent: TaskContext | None
    ) -> dict[str, Any]:
        """Runs one task, and retries it if it fails and can be retried."""
        from flyte._runtime.convert import context_of
        from flyte._runtime.execute import execute
        from flyte.errors import NonRecoverableError, RuntimeSystemError

        if self._base is None:
            self._base = tempfile.mkdtemp(prefix="flyte-run-")
        base = self._base
        strategy = retry_strategy(task.retries)
        attempt = 0
        while True:
            output = os.path.join(base, action.name, str(attempt + 1))
            group = surroundings().group
            context = TaskContext(
                action=action,
                version=parent.version if parent is not None else "local",
                raw_data_path=RawDataPath(path=os.path.join(output, "raw")),
                output_path=output,
                run_base_dir=base,
                group_data=GroupData(group) if group else None,
                mode="local",
                custom_context=context_of(inputs),
                data={"attempt": attempt},
            )
            try:
                with within(task=context, controller=self, group=None):
                    return await execute(task, inputs)
            except (NonRecoverableError, RuntimeSystemError):
                raise
            except Exception:
                if attempt >= strategy.count:
                    raise
                if strategy.backoff is not None:
                    await asyncio.sleep(strategy.backoff.compute_delay(attempt).total_seconds())
                attempt += 1


def random_name() -> str:
    """A name for a run: `r` and 19 small letters and digits."""
    digits = "abcdefghijklmnopqrstuvwxyz0123456789"
    return "r" + "".join(secrets.choice(digits) for _ in range(19))

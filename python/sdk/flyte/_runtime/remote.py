"""Has the control plane run the tasks that the running task calls: enqueues them, watches them, and reads what they returned."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import pathlib
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from flyte import storage
from flyte._context import surroundings
from flyte._runtime import steps
from flyte._runtime.convert import (
    digest,
    from_outputs,
    inputs_digest,
    native_error,
    to_inputs,
)
from flyte._runtime.spec import Serialization, interface_of, task_spec
from flyte._runtime.steps import identifier
from flyte._task import Task
from flyte._threads import LoopThread
from flyte._trace import Call, Step
from flyte._wire import decode, encode
from flyte.models import ActionID, TaskContext

_SERVICE = "flyteidl2.actions.ActionsService"
_SUCCEEDED = {"ACTION_PHASE_SUCCEEDED", "ACTION_PHASE_RECOVERED"}
_DONE = _SUCCEEDED | {"ACTION_PHASE_FAILED", "ACTION_PHASE_ABORTED", "ACTION_PHASE_TIMED_OUT"}
# Seconds to wait before trying again; about twenty minutes in all.
_FIRST_WAIT, _LONGEST_WAIT, _TRIES = 0.5, 10.0, 120
# Seconds until the control plane must have listed the children of an earlier attempt.
_SYNC = 5.0

log = logging.getLogger("flyte")


class RemoteController:
    """The children of one task's execution. Calls are made and watched in a separate thread, so that a task that blocks, or is busy,
    holds nothing up."""

    def __init__(self, parent: TaskContext) -> None:
        self.parent = parent
        self._thread: LoopThread | None = None
        self._children: _Children | None = None

    def _loop(self) -> LoopThread:
        if self._thread is None:
            self._thread = LoopThread("flyte-controller")
        return self._thread

    def stop(self) -> None:
        """Ends watching."""
        thread, self._thread = self._thread, None
        if thread is not None:
            if self._children is not None:
                with contextlib.suppress(Exception):
                    thread.wait(self._children.stop())
            thread.stop()

    async def submit(self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Has a task run and gives what it returns. Raises what it ends in, as an error of `flyte.errors`."""
        loop = self._loop().loop
        future = asyncio.run_coroutine_threadsafe(self._submit(task, args, kwargs), loop)
        return await asyncio.wrap_future(future)

    def submit_sync(self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """`submit`, for code that blocks."""
        return self.collect_sync(lambda: self._submit(task, args, kwargs))

    def collect_sync(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Runs a coroutine that submits, for code that blocks."""
        return contextvars.copy_context().run(self._loop().wait, make())

    async def _submit(self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        from flyte.errors import ActionAbortedError, InlineIOMaxBytesBreached, RuntimeSystemError

        given = task.interface.convert_to_kwargs(*args, **kwargs)
        inputs = await to_inputs(task.interface, given, self._here().custom_context)
        data = encode("flyteidl2.task.Inputs", inputs)
        if len(data) > task.max_inline_io_bytes:
            raise InlineIOMaxBytesBreached(
                f"the inputs of {task.name} have {len(data)} bytes, and {task.max_inline_io_bytes} are taken: hand on a flyte.io.File"
            )
        spec = task_spec(task, self._serialization())
        action = self._named(task, spec, inputs)
        base = self.parent.run_base_dir
        inputs_url = storage.join(base, action.name, "inputs.pb")
        await storage.write(inputs_url, data)
        request = self._request(task, spec, inputs, action, inputs_url)
        state = await self._watched().run(action.name, request)
        phase = state.get("phase")
        call = f"{task.name} ({action.name})"
        if phase == "ACTION_PHASE_ABORTED":
            raise ActionAbortedError(
                f"{call} was aborted, and with it {self.parent.action.name}, which waits for it"
            )
        if phase == "ACTION_PHASE_TIMED_OUT":
            error = state.get("error", {})
            raise native_error(
                error.get("code") or "TaskTimeoutError",
                f"{call}: {error.get('message') or 'it took too long'}",
                "USER",
            )
        if phase not in _SUCCEEDED:
            raise await _failure(state, base, action.name, call)
        if not task.interface.has_outputs():
            return None
        if not state.get("outputUri"):
            raise RuntimeSystemError(
                "NoOutputs", f"{call} succeeded, but the control plane did not say where its outputs are"
            )
        outputs = await storage.read(
            storage.join(state["outputUri"], "outputs.pb"), task.max_inline_io_bytes * 4
        )
        return await from_outputs(task.interface, decode("flyteidl2.task.Outputs", outputs))

    def _here(self) -> TaskContext:
        """The task's context at this place in its code: `flyte.custom_context` changes it."""
        return surroundings().task or self.parent

    async def collect(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Runs a coroutine that submits."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), self._loop().loop))

    async def begin_step(self, call: Call) -> Step:
        """Identifies a call of a traced function, and finds what an earlier attempt of the task recorded of it."""
        return await steps.begin(self._watched(), self.parent, call)

    async def end_step(self, step: Step, value: Any, error: Exception | None) -> None:
        """Records what came of the call."""
        await steps.end(self._watched(), self.parent, step, value, error)

    def _watched(self) -> _Children:
        if self._children is None:
            self._children = _Children(self.parent.action)
        return self._children

    def _serialization(self) -> Serialization:
        bundle = self.parent.code_bundle
        action = self.parent.action
        return Serialization(
            version=self.parent.version,
            project=action.project or "",
            domain=action.domain or "",
            org=action.org or "",
            bundle=bundle,
            images=self.parent.image_lookup,
            root=pathlib.Path(bundle.destination if bundle is not None else ".").absolute(),
        )

    def _named(self, task: Task[Any, Any], spec: dict[str, Any], inputs: dict[str, Any]) -> ActionID:
        """The child's name: of the task, its code's version and its inputs, and the number of equal calls before it."""
        template = spec["taskTemplate"]
        identity = digest([task.name, template["interface"], template["metadata"]["discoveryVersion"]])
        content = inputs_digest(inputs, template["metadata"].get("cacheIgnoreInputVars", ()))
        group = surroundings().group
        sequence = self.parent.calls.next(f"{identity}:{content}:{group or ''}")
        return self.parent.action.child(identity, content, sequence, group)

    def _request(
        self,
        task: Task[Any, Any],
        spec: dict[str, Any],
        inputs: dict[str, Any],
        action: ActionID,
        inputs_url: str,
    ) -> dict[str, Any]:
        task_id = {key: value for key, value in spec["taskTemplate"]["id"].items() if key != "resourceType"}
        taken: dict[str, Any] = {"id": task_id, "spec": spec}
        metadata = spec["taskTemplate"]["metadata"]
        if metadata.get("discoverable"):
            content = inputs_digest(inputs, metadata.get("cacheIgnoreInputVars", ()))
            interface = interface_of(task.interface)
            taken["cacheKey"] = digest([content, task.name, interface, metadata["discoveryVersion"]])
        if task.queue:
            taken["queue"] = task.queue
        asked: dict[str, Any] = {
            "actionId": identifier(action),
            "parentActionName": self.parent.action.name,
            "inputUri": inputs_url,
            "runOutputBase": self.parent.run_base_dir,
            "task": taken,
        }
        group = surroundings().group
        if group:
            asked["group"] = group
        return {"action": asked}


async def _failure(state: dict[str, Any], base: str, name: str, call: str) -> Exception:
    """The error of a child: as the control plane reports it, or as the child wrote it."""
    error = state.get("error")
    if error:
        return native_error(error.get("code", ""), error.get("message") or call, error.get("kind", "UNKNOWN"))
    try:
        data = await storage.read(
            storage.join(state.get("outputUri") or storage.join(base, name, "1"), "error.pb")
        )
    except OSError as failure:
        from flyte.errors import RuntimeSystemError

        return RuntimeSystemError("NoError", f"{call} failed, and its error cannot be read: {failure}")
    written = decode("flyteidl2.core.ErrorDocument", data).get("error", {})
    return native_error(
        written.get("code", ""), written.get("message") or call, written.get("origin", "UNKNOWN")
    )


class _Children:
    """The states of a task's children, as the control plane reports them. Everything runs in one event loop."""

    def __init__(self, parent: ActionID) -> None:
        self.parent = parent
        self.states: dict[str, dict[str, Any]] = {}
        self.waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.synced = asyncio.Event()
        self.watcher: asyncio.Task[None] | None = None

    async def known(self, name: str) -> dict[str, Any] | None:
        """The state of a child that an earlier attempt had; None if there is none."""
        if self.watcher is None:
            self.watcher = asyncio.ensure_future(self._watch())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.synced.wait(), _SYNC)
        return self.states.get(name)

    async def run(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Has a child run, unless an earlier attempt had it, and waits for its end."""
        await self.known(name)
        if self.states.get(name, {}).get("phase") in _DONE:
            return self.states[name]
        future = self.waiting.get(name)
        if future is None:
            future = self.waiting[name] = asyncio.get_running_loop().create_future()
        try:
            if name not in self.states:
                await self._enqueue(request)
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await self._abort(request["action"]["actionId"])
            raise
        finally:
            self.waiting.pop(name, None)

    async def stop(self) -> None:
        """Ends watching."""
        if self.watcher is not None:
            self.watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self.watcher

    async def _enqueue(self, request: dict[str, Any]) -> None:
        from flyte import errors

        for tried in range(_TRIES):
            try:
                await self._call("Enqueue", request)
                return
            except errors.AlreadyExistsError:
                # An attempt before this one had it run.
                return
            except (errors.InvalidArgumentError, errors.NotFoundError, errors.PermissionDeniedError) as error:
                raise errors.RuntimeSystemError(type(error).__name__, str(error)) from error
            except errors.UnsupportedError as error:
                raise errors.RuntimeSystemError(type(error).__name__, str(error)) from error
            except errors.FlyteError as error:
                if tried == _TRIES - 1:
                    raise errors.RuntimeSystemError(type(error).__name__, str(error)) from error
                log.warning("a task cannot be enqueued, and is again: %s", error)
                await asyncio.sleep(_pause(tried))

    async def _abort(self, action: dict[str, Any]) -> None:
        from flyte.errors import FlyteError

        try:
            await asyncio.shield(
                self._call(
                    "Abort", {"actionId": action, "reason": f"{self.parent.name} no longer waits for it"}
                )
            )
        except FlyteError as error:
            log.warning("%s cannot be aborted: %s", action["name"], error)

    async def _call(self, method: str, request: dict[str, Any]) -> None:
        from flyte._initialize import session

        with self._headers():
            await session().call(f"{_SERVICE}/{method}", request)

    @contextlib.contextmanager
    def _headers(self) -> Any:
        """Headers that say which part of a distributed control plane has the run."""
        from flyte import _session

        action = self.parent
        metadata = (
            ("x-actions-project", action.project or ""),
            ("x-actions-domain", action.domain or ""),
            ("x-actions-run", action.run_name or ""),
            ("x-actions-parent-action", action.name),
        )
        token = _session.headers.set((*_session.headers.get(), *metadata))
        try:
            yield
        finally:
            _session.headers.reset(token)

    async def _watch(self) -> None:
        """Keeps `states`, through broken connections, until it is cancelled."""
        from flyte import errors
        from flyte._initialize import session

        failed = 0
        while True:
            try:
                with self._headers():
                    updates = session().stream(
                        f"{_SERVICE}/WatchForUpdates", {"parentActionId": identifier(self.parent)}
                    )
                    async for update in updates:
                        failed = 0
                        self._take(update)
                failed += 1
                cause = "the control plane ended the stream"
            except errors.FlyteError as error:
                failed += 1
                cause = str(error)
            if failed >= _TRIES:
                self._fail_all(cause)
                return
            log.warning("watching the children of %s again: %s", self.parent.name, cause)
            await asyncio.sleep(_pause(failed))

    def _take(self, update: dict[str, Any]) -> None:
        if "controlMessage" in update:
            self.synced.set()
        state = update.get("actionUpdate")
        if state is None:
            return
        name = state.get("actionId", {}).get("name", "")
        self.states[name] = state
        future = self.waiting.get(name)
        if state.get("phase") in _DONE and future is not None and not future.done():
            future.set_result(state)

    def _fail_all(self, cause: str) -> None:
        from flyte.errors import RuntimeSystemError

        for future in self.waiting.values():
            if not future.done():
                future.set_exception(
                    RuntimeSystemError("WatchFailed", f"the result of a task is unknown: {cause}")
                )


def _pause(tried: int) -> float:
    return min(_FIRST_WAIT * 2.0 ** min(tried, 10), _LONGEST_WAIT) * (0.5 + random.random())

"""Calls of traced functions on a control plane: recorded as actions of the run, and found again by a later attempt of the task."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone
from typing import Any, Protocol

from flyte import storage
from flyte._context import surroundings
from flyte._runtime.convert import (
    error_document,
    from_outputs,
    inputs_digest,
    native_error,
    to_inputs,
    to_outputs,
)
from flyte._runtime.spec import interface_of
from flyte._trace import Call, Step
from flyte._wire import decode, encode
from flyte.models import MAX_INLINE_IO_BYTES, ActionID, TaskContext
from flyte.types._simple import write_timestamp

_SUCCEEDED = {"ACTION_PHASE_SUCCEEDED", "ACTION_PHASE_RECOVERED"}
# Seconds until the control plane must have recorded a step. A later answer changes nothing for the task.
_RECORDED = 60.0

log = logging.getLogger("flyte")


class Children(Protocol):
    """The actions below a task's own."""

    async def known(self, name: str) -> dict[str, Any] | None:
        """The state of a child that an earlier attempt had; None if there is none."""

    async def run(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Has a child recorded, and waits for its end."""


def identifier(action: ActionID) -> dict[str, Any]:
    """`flyteidl2.common.ActionIdentifier`."""
    run = {"org": action.org, "project": action.project, "domain": action.domain, "name": action.run_name}
    return {"run": {key: value for key, value in run.items() if value}, "name": action.name}


async def begin(children: Children, parent: TaskContext, call: Call) -> Step:
    """Stores the inputs of a call, and finds what was recorded of it.

    A failure counts as recorded only if trying again cannot help. Raises InlineIOMaxBytesBreached for inputs that are too large.
    """
    here = surroundings().task or parent
    inputs = await to_inputs(call.interface, call.arguments, here.custom_context)
    content = inputs_digest(inputs)
    group = surroundings().group
    sequence = parent.calls.next(f"{call.identity}:{content}:{group or ''}")
    action = here.action.child(call.identity, content, sequence, group)
    url = storage.join(parent.run_base_dir, action.name, "inputs.pb")
    await storage.write(url, _checked(call.name, "inputs", encode("flyteidl2.task.Inputs", inputs)))
    step = Step(call.name, action, call.interface, url)
    state = await children.known(action.name)
    if state is not None:
        await _replay(step, state)
    return step


async def _replay(step: Step, state: dict[str, Any]) -> None:
    if state.get("phase") in _SUCCEEDED and state.get("outputUri"):
        data = await storage.read(state["outputUri"], MAX_INLINE_IO_BYTES * 4)
        step.value = await from_outputs(step.interface, decode("flyteidl2.task.Outputs", data))
        step.replayed = True
    error = state.get("error")
    # What a message does not say is the first of its values: NON_RECOVERABLE.
    if state.get("phase") == "ACTION_PHASE_FAILED" and error and error.get("recoverability") != "RECOVERABLE":
        step.error = native_error(
            error.get("code", ""), error.get("message", ""), error.get("kind", "UNKNOWN")
        )
        step.replayed = True


async def end(
    children: Children, parent: TaskContext, step: Step, value: Any, error: Exception | None
) -> None:
    """Stores the result or the error of a call, and has it recorded as an action of the run."""
    base = storage.join(parent.run_base_dir, step.action.name)
    trace: dict[str, Any] = {
        "name": step.name,
        "phase": "ACTION_PHASE_SUCCEEDED" if error is None else "ACTION_PHASE_FAILED",
        "startTime": write_timestamp(step.started),
        "endTime": write_timestamp(datetime.now(timezone.utc)),
        "spec": {"interface": interface_of(step.interface)},
    }
    if error is not None:
        document = encode("flyteidl2.core.ErrorDocument", error_document(error))
        await storage.write(storage.join(base, "error.pb"), document)
    elif step.interface.has_outputs():
        outputs = encode("flyteidl2.task.Outputs", await to_outputs(step.interface, value, step.name))
        url = storage.join(base, "outputs.pb")
        await storage.write(url, _checked(step.name, "outputs", outputs))
        trace["outputs"] = {"outputUri": url}
    request: dict[str, Any] = {
        "actionId": identifier(step.action),
        "parentActionName": parent.action.name,
        "inputUri": step.inputs_url,
        "runOutputBase": parent.run_base_dir,
        "trace": trace,
    }
    group = surroundings().group
    if group:
        request["group"] = group
    try:
        # A cancelled wait would abort the action.
        recording = asyncio.ensure_future(children.run(step.action.name, {"action": request}))
        await asyncio.wait_for(asyncio.shield(recording), _RECORDED)
    except asyncio.TimeoutError:
        log.warning("the control plane has not confirmed that it recorded %s", step.name)


def _checked(name: str, what: str, data: bytes) -> bytes:
    from flyte.errors import InlineIOMaxBytesBreached

    if len(data) > MAX_INLINE_IO_BYTES:
        raise InlineIOMaxBytesBreached(
            f"the {what} of {name} have {len(data)} bytes, and {MAX_INLINE_IO_BYTES} are taken: use a flyte.io.File"
        )
    return data

"""A task's inputs, outputs and errors, between Python and the wire. Messages are proto-JSON."""

from __future__ import annotations

import hashlib
import json
import traceback
from base64 import b64encode
from typing import Any

from flyte._interface import EMPTY, NativeInterface
from flyte.types import TypeEngine, TypeTransformerFailedError, _hints
from flyte.types._transformer import Literal

# What other packages keep in the context of inputs for themselves, and do not hand on.
_KICKOFF = "_u_kickoff_time_input_arg"
_RESERVED = {_KICKOFF, "_u_produced_artifacts"}


async def to_inputs(
    interface: NativeInterface, given: dict[str, Any], context: dict[str, str] | None = None
) -> dict[str, Any]:
    """`flyteidl2.task.Inputs` of a call's arguments; defaults are filled in.

    Raises TypeError naming inputs that are missing, TypeTransformerFailedError naming the one that does not fit.
    """
    missing = [name for name in interface.required_inputs() if name not in given]
    if missing:
        raise TypeError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    literals = []
    for name, (python_type, default) in interface.inputs.items():
        value = given[name] if name in given else default
        if value is None and name not in given and not _takes_none(python_type):
            # `x: int = None` means that the input is optional; the function's own default applies.
            continue
        try:
            literal = await TypeEngine.to_literal(value, python_type)
        except (TypeError, ValueError) as error:
            raise TypeTransformerFailedError(
                f"{name} is not of type {_hints.name(python_type)}: {error}"
            ) from error
        literals.append({"name": name, "value": literal})
    inputs: dict[str, Any] = {"literals": literals} if literals else {}
    if context:
        inputs["context"] = [{"key": key, "value": value} for key, value in context.items()]
    return inputs


def _takes_none(python_type: Any) -> bool:
    return python_type in (None, type(None), Any) or _hints.is_optional(python_type)


async def from_inputs(
    interface: NativeInterface, inputs: dict[str, Any], started: Any = None
) -> dict[str, Any]:
    """A call's arguments of `flyteidl2.task.Inputs`.

    Raises TypeTransformerFailedError naming the input that does not fit.
    """
    literals = {one["name"]: one.get("value", {}) for one in inputs.get("literals", [])}
    given = await TypeEngine.literal_map_to_kwargs(literals, interface.input_types)
    for entry in inputs.get("context", []):
        # A schedule's time, which is the run's.
        if entry.get("key") == _KICKOFF and entry.get("value") and started is not None:
            given[entry["value"]] = started
    for name, (python_type, default) in interface.inputs.items():
        if name not in given and default is EMPTY:
            if not _takes_none(python_type):
                raise TypeTransformerFailedError(f"{name} is missing")
            given[name] = None
    return given


def context_of(inputs: dict[str, Any]) -> dict[str, str]:
    """What travels with the inputs to the tasks that the task calls."""
    entries = {entry["key"]: entry.get("value", "") for entry in inputs.get("context", [])}
    return {key: value for key, value in entries.items() if key not in _RESERVED}


async def to_outputs(interface: NativeInterface, returned: Any, task: str) -> dict[str, Any]:
    """`flyteidl2.task.Outputs` of what a task returned.

    Raises RuntimeDataValidationError if the value does not match the annotations.
    """
    from flyte.errors import RuntimeDataValidationError

    expected = interface.outputs
    if not expected:
        if returned is not None:
            raise RuntimeDataValidationError(
                "o0",
                f"it returned {type(returned).__name__}, and its annotations say that it returns nothing",
                task,
            )
        return {}
    values = returned if isinstance(returned, tuple) and len(expected) > 1 else (returned,)
    if len(expected) == 1 and isinstance(returned, tuple) and hasattr(returned, "_fields"):
        # A named tuple with one field.
        values = tuple(returned) if list(returned._fields) == list(expected) else values
    if len(values) != len(expected):
        raise RuntimeDataValidationError(
            ", ".join(expected),
            f"it returned {len(values)} values, and its annotations say {len(expected)}",
            task,
        )
    literals = []
    for (name, python_type), value in zip(expected.items(), values, strict=True):
        try:
            literals.append({"name": name, "value": await TypeEngine.to_literal(value, python_type)})
        except (TypeError, ValueError) as error:
            raise RuntimeDataValidationError(name, error, task) from error
    return {"literals": literals}


async def from_outputs(interface: NativeInterface, outputs: dict[str, Any]) -> Any:
    """What a task returned, of `flyteidl2.task.Outputs`: None, the value, or a tuple of several."""
    literals = {one["name"]: one.get("value", {}) for one in outputs.get("literals", [])}
    values = await TypeEngine.literal_map_to_kwargs(literals, interface.outputs)
    if not values:
        return None
    if len(values) == 1:
        return next(iter(values.values()))
    return tuple(values[name] for name in interface.outputs)


# ---- hashes: they distinguish executions, and are equal in every attempt


def digest(value: Any) -> str:
    """A hash of a message that does not depend on the order of its maps."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inputs_digest(inputs: dict[str, Any], ignored: list[str] | tuple[str, ...] = ()) -> str:
    """A hash of inputs. It uses the content hash of a value that has one. Empty without inputs."""
    literals = [one for one in inputs.get("literals", []) if one["name"] not in ignored]
    return digest([(one["name"], _content(one["value"])) for one in literals]) if literals else ""


def _content(literal: Literal) -> Any:
    if literal.get("hash"):
        return {"hash": literal["hash"]}
    if "collection" in literal:
        return [_content(one) for one in literal["collection"].get("literals", [])]
    if "map" in literal:
        return {key: _content(one) for key, one in literal["map"].get("literals", {}).items()}
    return literal


# ---- errors


def error_document(error: BaseException) -> dict[str, Any]:
    """`flyteidl2.core.ErrorDocument`: the error's code, its message with the traceback of the task's own code, whose fault it is,
    and whether trying again may help."""
    from flyte import errors

    recoverable = True
    if isinstance(error, errors.NonRecoverableError):
        origin, recoverable = "USER", False
    elif isinstance(error, errors.RuntimeSystemError):
        origin = "SYSTEM"
    elif isinstance(error, errors.RuntimeUnknownError):
        origin = "UNKNOWN"
    else:
        origin = "USER"
    code = error.code if isinstance(error, errors.BaseRuntimeError) else type(error).__name__
    found = {
        "code": code,
        "message": describe(error),
        "origin": origin,
        "kind": "RECOVERABLE" if recoverable else "NON_RECOVERABLE",
    }
    # What is a default is not written.
    if origin == "UNKNOWN":
        del found["origin"]
    if not recoverable:
        del found["kind"]
    return {"error": found}


def describe(error: BaseException) -> str:
    """The error's message, and below it the traceback of the task's own code."""
    message = str(error) or type(error).__name__
    cause = error.__cause__ if error.__cause__ is not None and _is_ours(error) else error
    lines = own_traceback(cause)
    return f"{message}\n\n{''.join(lines).rstrip()}" if lines else message


def _is_ours(error: BaseException) -> bool:
    from flyte import errors

    return isinstance(error, errors.BaseRuntimeError)


def own_traceback(error: BaseException) -> list[str]:
    """The traceback without the frames of this package and of asyncio; empty if there are no others."""
    import asyncio
    import importlib
    import pathlib

    libraries = [str(pathlib.Path(module.__file__ or "").parent) for module in (asyncio, importlib)]
    ours = (str(pathlib.Path(__file__).parents[1]), *libraries, "<frozen")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(ours) and pathlib.Path(frame.filename).name != "threading.py"
    ]
    if not frames:
        return []
    return [
        "Traceback (most recent call last):\n",
        *traceback.format_list(frames),
        *traceback.format_exception_only(type(error), error),
    ]


def native_error(code: str, message: str, origin: str) -> Exception:
    """The error of `flyte.errors` for what a task ended in elsewhere."""
    from flyte import errors

    # A control plane may put its own code before the task's.
    code = code.rpartition("|")[2].strip() or "Unknown"
    if origin == "SYSTEM":
        return errors.RuntimeSystemError(code, message)
    if origin not in ("USER", "KIND_USER"):
        return errors.RuntimeUnknownError(code, message)
    timeouts = {
        "QUEUED_TIMEOUT_EXCEEDED": errors.MaxQueuedTimeExceededError,
        "MAX_RUNTIME_EXCEEDED": errors.MaxRuntimeExceededError,
        "DEADLINE_EXCEEDED": errors.DeadlineExceededError,
        "MaxQueuedTimeExceededError": errors.MaxQueuedTimeExceededError,
        "MaxRuntimeExceededError": errors.MaxRuntimeExceededError,
        "DeadlineExceededError": errors.DeadlineExceededError,
        "TaskTimeoutError": errors.TaskTimeoutError,
    }
    if code in timeouts:
        return timeouts[code](message)
    kinds: dict[str, type[errors.RuntimeUserError]] = {
        "OOM": errors.OOMError,
        "INTERRUPTED": errors.TaskInterruptedError,
        "RETRIESEXHAUSTED": errors.RetriesExhaustedError,
        "INVALIDIMAGENAME": errors.InvalidImageNameError,
        "IMAGEPULLBACKOFF": errors.ImagePullBackOffError,
    }
    for part, kind in kinds.items():
        if part in code.upper():
            return kind(code, message)
    return errors.RuntimeUserError(code, message)

"""Running a task that was deployed, by what the control plane knows of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flyte._interface import EMPTY, NativeInterface
from flyte.types import TypeEngine


def interface_of(spec: Mapping[str, Any]) -> NativeInterface:
    """The interface of a deployed task, of Python types that have its types on the wire."""
    interface = spec.get("taskTemplate", {}).get("interface", {})
    inputs = {
        entry["key"]: (TypeEngine.guess_python_type(entry["value"]["type"]), EMPTY)
        for entry in interface.get("inputs", {}).get("variables", [])
    }
    outputs = {
        entry["key"]: TypeEngine.guess_python_type(entry["value"]["type"])
        for entry in interface.get("outputs", {}).get("variables", [])
    }
    return NativeInterface(inputs, outputs)


async def inputs_of(
    spec: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, str]
) -> dict[str, Any]:
    """`flyteidl2.task.Inputs` of a call of a deployed task; what is not given takes the default that was deployed.

    Raises TypeError naming inputs that are missing or not known, TypeTransformerFailedError naming the one that does not fit.
    """
    from flyte._runtime.convert import to_inputs

    interface = interface_of(spec)
    if args:
        raise TypeError(f"a deployed task takes its inputs by their names: {', '.join(interface.inputs)}")
    given = interface.convert_to_kwargs(**kwargs)
    defaults = {one["name"]: one["parameter"].get("default") for one in spec.get("defaultInputs", [])}
    # Who has the task's own class at hand gives an instance of it.
    own = {
        name: (type(value), EMPTY)
        for name, value in given.items()
        if dataclasses.is_dataclass(value) or hasattr(value, "model_dump")
    }
    left = {
        name: own.get(name, what)
        for name, what in interface.inputs.items()
        if name in given or name not in defaults
    }
    inputs = await to_inputs(NativeInterface(left, {}), given, dict(context))
    literals = {one["name"]: one["value"] for one in inputs.get("literals", [])}
    literals |= {name: defaults[name] for name in interface.inputs if name not in left and defaults[name]}
    ordered = [{"name": name, "value": literals[name]} for name in interface.inputs if name in literals]
    return {**inputs, "literals": ordered}

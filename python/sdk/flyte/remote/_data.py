"""What actions were given and what they returned, as Python values."""

from __future__ import annotations

import json
from typing import Any

from flyte._context import within
from flyte._session import Message
from flyte.remote._resource import path
from flyte.remote._task import variables
from flyte_auth._dual import anything


class ActionInputs(dict[str, Any]):
    """What an action was given, by name. `literals` is what the control plane said (`flyteidl2.task.Inputs`)."""

    def __init__(self, values: dict[str, Any], literals: Message) -> None:
        super().__init__(values)
        self.literals = literals

    def to_dict(self) -> Message:
        """What the control plane said."""
        copy: Message = json.loads(json.dumps(self.literals))
        return copy


class ActionOutputs(tuple[Any, ...]):
    """What an action returned, in order; `named_outputs` has the names. `literals` is what the control plane said."""

    literals: Message
    _names: list[str]

    def __new__(cls, values: dict[str, Any], literals: Message) -> ActionOutputs:
        made = super().__new__(cls, tuple(values.values()))
        made.literals = literals
        made._names = list(values)
        return made

    @property
    def named_outputs(self) -> dict[str, Any]:
        """The same by name."""
        return dict(zip(self._names, self, strict=True))

    def to_dict(self) -> Message:
        """What the control plane said."""
        copy: Message = json.loads(json.dumps(self.literals))
        return copy


async def inputs(message: Message, task: Message | None) -> ActionInputs:
    """The values of a `flyteidl2.task.Inputs`; `task` is the task's specification, which has their types.

    Pickled values are `flyte.types.Pickled`, which loads them on request.
    """
    types = variables(path(task or {}, "taskTemplate", "interface", "inputs"))
    return ActionInputs(await _values(message, types), message)


async def outputs(message: Message, task: Message | None) -> ActionOutputs:
    """The values of a `flyteidl2.task.Outputs`; pickled ones are `flyte.types.Pickled`."""
    types = variables(path(task or {}, "taskTemplate", "interface", "outputs"))
    # In the order of the answer, which is the task's; that of its types is the alphabet's.
    values = await _values(message, types)
    # A task that returns nothing returns None.
    return ActionOutputs(values or {"o0": None}, message)


async def _values(message: Message, types: dict[str, Message]) -> dict[str, Any]:
    named = {one.get("name", ""): one.get("value", {}) for one in message.get("literals", [])}

    async def converted() -> dict[str, Any]:
        # It brings much with it.
        from flyte.types import TypeEngine

        values = {}
        # They come from a user who can start runs, so they are not trusted.
        with within(foreign=True):
            for name, literal in named.items():
                python_type = TypeEngine.guess_python_type(types.get(name, {}))
                values[name] = await TypeEngine.to_python_value(literal, python_type)
        return values

    return await anything(converted) if named else {}

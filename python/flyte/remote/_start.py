"""Starting runs of deployed tasks, for `flyte.run`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flyte._initialize import scope, session
from flyte._session import Message
from flyte.remote._resource import path

if TYPE_CHECKING:
    from flyte._run import RunContext
    from flyte.remote._task import TaskDetails


async def start(
    task: TaskDetails, context: RunContext, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Starts a run of a deployed task with these inputs, as a context says, and gives the run.

    Raises TypeError naming inputs that are missing or not known, TypeTransformerFailedError naming one that is not of its type.
    """
    from flyte._context import within
    from flyte._upload import upload

    where = scope(context.project or task.project, context.domain or task.domain)
    given = _named(task, args, kwargs)
    with within(upload=lambda what, name: upload(what, name, where)):
        literals = [
            {"name": name, "value": await _literal(task, name, value)} for name, value in given.items()
        ]
    literals += [
        {"name": name, "value": default} for name, default in _defaults(task).items() if name not in given
    ]
    inputs: Message = {"literals": literals} if literals else {}
    if context.custom_context:
        inputs["context"] = [{"key": key, "value": value} for key, value in context.custom_context.items()]
    return await context.start(session(), where, {"taskId": task.task_id}, inputs)


def _defaults(task: TaskDetails) -> dict[str, Message]:
    """The inputs that may be left out, with what they are then (`flyteidl2.core.Literal`)."""
    defaults = {
        str(one.get("name", "")): path(one, "parameter", "default")
        for one in task.spec.get("defaultInputs", [])
    }
    return {name: default for name, default in defaults.items() if default is not None}


def _named(task: TaskDetails, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = list(task.inputs)
    if (args and len(names) != 1) or len(args) > 1:
        # A deployed task's inputs are in the alphabet's order: which one comes first in its function is not known.
        raise TypeError(f"{task.name} takes its inputs by name: {', '.join(names) or 'it has none'}")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            raise TypeError(f"{task.name} has no input {name!r}; it has {', '.join(names) or 'none'}")
        if name in given:
            raise TypeError(f"{name!r} is given twice")
        given[name] = value
    missing = [name for name in task.required_args if name not in given]
    if missing:
        raise TypeError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return given


async def _literal(task: TaskDetails, name: str, value: Any) -> Message:
    from flyte.types import TypeEngine, TypeTransformerFailedError

    expected = task.inputs[name]
    # Who has the task's own class at hand gives an instance of it.
    own = dataclasses.is_dataclass(value) or hasattr(value, "model_dump")
    try:
        python_type = type(value) if own else TypeEngine.guess_python_type(expected)
        return await TypeEngine.to_literal(value, python_type, expected)
    except (TypeError, ValueError) as error:
        raise TypeTransformerFailedError(f"{name} of {task.name} does not take {value!r}: {error}") from error

"""Running a task's function: inputs of the wire in, outputs of the wire out."""

from __future__ import annotations

import logging
from typing import Any

from flyte._context import ctx
from flyte._runtime.convert import from_inputs, to_outputs
from flyte._task import Task

log = logging.getLogger("flyte")


async def execute(task: Task[Any, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Runs the task in the surroundings that are here, and gives its outputs.

    Raises an error of `flyte.errors`; an exception that the task raised is the cause of a CustomError.
    """
    from flyte.errors import BaseRuntimeError, CustomError, RuntimeDataValidationError

    try:
        given = await from_inputs(task.interface, inputs, ctx().run_start_time)
    except (TypeError, ValueError) as error:
        raise RuntimeDataValidationError("inputs", error, task.name) from error
    try:
        returned = await task.execute(**given)
    except BaseRuntimeError:
        raise
    except Exception as error:
        raise CustomError.from_exception(error) from error
    finally:
        await _keep_report(task)
    return await to_outputs(task.interface, returned, task.name)


async def _keep_report(task: Task[Any, Any]) -> None:
    """Stores what the task wrote to its report. A failure to store it does not fail the task."""
    here = ctx()
    if not here.has_report():
        return
    if not task.report:
        log.warning(
            "%s wrote to its report, which is stored only by flyte.report.flush(): make the task with report=True",
            task.name,
        )
        return
    from flyte import report

    try:
        await report.flush.aio()
    except OSError as error:
        log.warning("the report of %s cannot be stored: %s", task.name, error)

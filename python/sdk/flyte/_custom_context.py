"""Words that travel with a run, from each task to the tasks that it calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flyte._context import ctx, within
from flyte._unheeded import warn


def get_custom_context() -> dict[str, str]:
    """What the running task was given; empty outside of tasks."""
    task = ctx()
    return dict(task.custom_context) if task else {}


@contextlib.contextmanager
def custom_context(**context: str) -> Iterator[None]:
    """Tasks that are called in the `with` block get these words, beside those of the calling task.

    Outside of tasks, it has no effect and logs a warning: a run is given its words by `flyte.with_runcontext(custom_context={...})`.
    Raises TypeError for a value that is not a text.
    """
    for key, value in context.items():
        if not isinstance(value, str):
            raise TypeError(f"custom_context has texts as values, not {key}={value!r}")
    task = ctx()
    if not task:
        warn(
            "flyte.custom_context has no effect outside of tasks. Start the run with "
            "flyte.with_runcontext(custom_context={...}).run(...)."
        )
        yield
        return
    with within(task=task.replace(custom_context={**task.custom_context, **context})):
        yield

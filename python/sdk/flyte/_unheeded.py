"""Settings that scripts may have and that this package cannot honour. Running or deploying a task warns about them, once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from flyte._environment import Environment
from flyte._image import Image

_log = logging.getLogger("flyte")
_warned: set[str] = set()


def check(environments: Iterable[Environment]) -> None:
    """Warns about what has no effect in environments and their tasks.

    Raises DeploymentError if an image names files that do not exist.
    """
    for environment in environments:
        _check_files(environment)
        for message in _of(environment):
            warn(message)


def warn(message: str) -> None:
    """Logs a warning, unless this process has logged it already."""
    if message not in _warned:
        _warned.add(message)
        _log.warning("%s", message)


def _check_files(environment: Environment) -> None:
    from flyte.errors import DeploymentError

    missing = environment.image.missing_files() if isinstance(environment.image, Image) else []
    if missing:
        raise DeploymentError(
            f"the image of the environment {environment.name} is made with {missing[0]}, which does not exist"
        )


def _of(environment: Environment) -> Iterator[str]:
    name, image = environment.name, environment.image
    if isinstance(image, Image) and image.is_built:
        kinds = ", ".join(dict.fromkeys(layer.kind for layer in image.layers))
        yield (
            f"The layers of the image of the environment {name} have no effect ({kinds}): this package builds no images. "
            "Name a built image with flyte.Image.from_base, or install the packages where the server runs tasks."
        )
    if getattr(environment, "reusable", None) is not None:
        yield reuse(f"the environment {name}")
    tasks: dict[str, Any] = getattr(environment, "tasks", {})
    for task in tasks.values():
        if task.links:
            yield f"The links of the task {task.name} are not shown: this package does not send links."


def reuse(what: str) -> str:
    """The warning for a ReusePolicy."""
    return f"The ReusePolicy of {what} has no effect: each task starts in its own container or process."

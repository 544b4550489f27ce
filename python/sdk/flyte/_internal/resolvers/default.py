"""Tasks by their module and their name in it: what the command of a task says, whichever package wrote it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class DefaultTaskResolver:
    """`mod MODULE instance NAME`."""

    import_path = "flyte._internal.resolvers.default.DefaultTaskResolver"

    def load_task(self, loader_args: Sequence[str]) -> Any:
        """The task. Raises ImportError if the module does not exist, AttributeError if it has no such name."""
        if len(loader_args) < 4 or loader_args[0] != "mod" or loader_args[2] != "instance":
            raise ValueError(f"a task is named by `mod MODULE instance NAME`, not {' '.join(loader_args)!r}")
        return getattr(importlib.import_module(loader_args[1]), loader_args[3])

    def loader_args(self, task: Any, root_dir: Path) -> list[str]:
        """What names the task, for code that is unpacked from `root_dir` on."""
        from flyte._runtime.module import module_of

        return ["mod", module_of(task.func, root_dir), "instance", task.func.__name__]

"""What is at the control plane: projects, tasks, runs, actions, apps, API keys and people.

Each class reads itself (`get`, `listall`) and shows itself: `to_dict` for programs, tables in terminals and notebooks.
Every method that asks the control plane blocks, and has an awaitable form as `.aio`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte.remote._project import Project

_PLACES = {
    "Project": "flyte.remote._project",
}

__all__ = ["Project"]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'flyte.remote' has no attribute {name!r}")
    value = getattr(importlib.import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})

"""What is at the control plane: projects, tasks, runs, actions, apps, API keys and people.

Each class reads itself (`get`, `listall`) and shows itself: `to_dict` for programs, tables in terminals and notebooks.
Every method that asks the control plane blocks, and has an awaitable form as `.aio`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte.remote._action import Action, ActionDetails
    from flyte.remote._api_key import ApiKey
    from flyte.remote._app import App
    from flyte.remote._auth_metadata import auth_metadata, get_auth_metadata
    from flyte.remote._data import ActionInputs, ActionOutputs
    from flyte.remote._listing import TimeFilter
    from flyte.remote._project import Project
    from flyte.remote._run import Run
    from flyte.remote._task import Task, TaskDetails
    from flyte.remote._user import User

_PLACES = {
    "Action": "flyte.remote._action",
    "ActionDetails": "flyte.remote._action",
    "ActionInputs": "flyte.remote._data",
    "ActionOutputs": "flyte.remote._data",
    "ApiKey": "flyte.remote._api_key",
    "App": "flyte.remote._app",
    "Project": "flyte.remote._project",
    "Run": "flyte.remote._run",
    "Task": "flyte.remote._task",
    "TaskDetails": "flyte.remote._task",
    "TimeFilter": "flyte.remote._listing",
    "User": "flyte.remote._user",
    "auth_metadata": "flyte.remote._auth_metadata",
    "get_auth_metadata": "flyte.remote._auth_metadata",
}

__all__ = [
    "Action",
    "ActionDetails",
    "ActionInputs",
    "ActionOutputs",
    "ApiKey",
    "App",
    "Project",
    "Run",
    "Task",
    "TaskDetails",
    "TimeFilter",
    "User",
    "auth_metadata",
    "get_auth_metadata",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'flyte.remote' has no attribute {name!r}")
    value = getattr(importlib.import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})

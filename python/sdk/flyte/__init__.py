"""Tasks, runs and sign-in for Flyte 2.

`init` (or one of its siblings) says which control plane to talk to; `flyte.remote` reads and changes what is there.
Everything is imported when it is first used, so that importing `flyte` itself takes next to no time.
"""

from __future__ import annotations

import importlib

# What type checkers take for true; `typing` alone would take longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flyte._cache import Cache, CachePolicy, FunctionBodyPolicy, VersionParameters
    from flyte._context import ctx
    from flyte._custom_context import custom_context, get_custom_context
    from flyte._deploy import deploy
    from flyte._environment import Environment
    from flyte._image import Image
    from flyte._initialize import (
        current_domain,
        current_project,
        init,
        init_from_api_key,
        init_from_config,
        init_in_cluster,
        init_passthrough,
    )
    from flyte._logging import logger as system_logger
    from flyte._logging import user_logger as logger
    from flyte._map import group, map
    from flyte._resources import GPU, TPU, Device, Resources
    from flyte._retry import Backoff, RetryStrategy
    from flyte._reuse import ReusePolicy
    from flyte._run import run, with_runcontext
    from flyte._secret import Secret, SecretRequest
    from flyte._serve import serve
    from flyte._task_environment import TaskEnvironment, task
    from flyte._timeout import Timeout, TimeoutType
    from flyte._trace import trace
    from flyte._trigger import Cron, FixedRate, Trigger, TriggerTime
    from flyte_auth._native import __version__

# The module of each name. Add new names here, in alphabetical order.
_PLACES = {
    "Backoff": "flyte._retry",
    "Cache": "flyte._cache",
    "CachePolicy": "flyte._cache",
    "Cron": "flyte._trigger",
    "Device": "flyte._resources",
    "Environment": "flyte._environment",
    "FixedRate": "flyte._trigger",
    "FunctionBodyPolicy": "flyte._cache",
    "GPU": "flyte._resources",
    "Image": "flyte._image",
    "Resources": "flyte._resources",
    "RetryStrategy": "flyte._retry",
    "ReusePolicy": "flyte._reuse",
    "Secret": "flyte._secret",
    "SecretRequest": "flyte._secret",
    "TPU": "flyte._resources",
    "TaskEnvironment": "flyte._task_environment",
    "Timeout": "flyte._timeout",
    "TimeoutType": "flyte._timeout",
    "Trigger": "flyte._trigger",
    "TriggerTime": "flyte._trigger",
    "VersionParameters": "flyte._cache",
    "__version__": "flyte_auth._native",
    "ctx": "flyte._context",
    "current_domain": "flyte._initialize",
    "current_project": "flyte._initialize",
    "custom_context": "flyte._custom_context",
    "deploy": "flyte._deploy",
    "get_custom_context": "flyte._custom_context",
    "group": "flyte._map",
    "init": "flyte._initialize",
    "init_from_api_key": "flyte._initialize",
    "init_from_config": "flyte._initialize",
    "init_in_cluster": "flyte._initialize",
    "init_passthrough": "flyte._initialize",
    "logger": "flyte._logging",
    "map": "flyte._map",
    "run": "flyte._run",
    "serve": "flyte._serve",
    "system_logger": "flyte._logging",
    "task": "flyte._task_environment",
    "trace": "flyte._trace",
    "with_runcontext": "flyte._run",
}

# Names that are others in their modules.
_RENAMED = {"logger": "user_logger", "system_logger": "logger"}

# Modules that `import flyte` alone makes reachable.
_MODULES = frozenset(
    {"app", "auth", "config", "errors", "io", "models", "remote", "report", "storage", "types"}
)

__all__ = [
    "GPU",
    "TPU",
    "Backoff",
    "Cache",
    "CachePolicy",
    "Cron",
    "Device",
    "Environment",
    "FixedRate",
    "FunctionBodyPolicy",
    "Image",
    "Resources",
    "RetryStrategy",
    "ReusePolicy",
    "Secret",
    "SecretRequest",
    "TaskEnvironment",
    "Timeout",
    "TimeoutType",
    "Trigger",
    "TriggerTime",
    "VersionParameters",
    "__version__",
    "ctx",
    "current_domain",
    "current_project",
    "custom_context",
    "deploy",
    "get_custom_context",
    "group",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "logger",
    "map",
    "run",
    "serve",
    "system_logger",
    "task",
    "trace",
    "with_runcontext",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"flyte.{name}")
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'flyte' has no attribute {name!r}")
    value = getattr(importlib.import_module(place), _RENAMED.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_MODULES})

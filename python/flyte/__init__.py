"""Tasks, runs and sign-in for Flyte 2.

`init` (or one of its siblings) says which control plane to talk to; `flyte.remote` reads and changes what is there.
Everything is imported when it is first used, so that importing `flyte` itself takes next to no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte._initialize import (
        current_domain,
        current_project,
        init,
        init_from_api_key,
        init_from_config,
        init_in_cluster,
        init_passthrough,
    )
    from flyte._native import __version__

# Where each name is. Names that other modules bring are added here, in the order of the alphabet.
_PLACES = {
    "__version__": "flyte._native",
    "current_domain": "flyte._initialize",
    "current_project": "flyte._initialize",
    "init": "flyte._initialize",
    "init_from_api_key": "flyte._initialize",
    "init_from_config": "flyte._initialize",
    "init_in_cluster": "flyte._initialize",
    "init_passthrough": "flyte._initialize",
}

# Modules that `import flyte` alone makes reachable.
_MODULES = frozenset({"config", "errors", "remote"})

__all__ = [
    "__version__",
    "current_domain",
    "current_project",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"flyte.{name}")
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'flyte' has no attribute {name!r}")
    value = getattr(importlib.import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_MODULES})

"""Apps by their module and their name in it."""

from __future__ import annotations

import importlib
import pathlib
import sys
from typing import Any


class AppEnvResolver:
    """`MODULE:NAME`."""

    import_path = "flyte._internal.resolvers.app_env.AppEnvResolver"

    def load_app_env(self, loader_args: str) -> Any:
        """The app. Raises ImportError if the module does not exist, AttributeError if it has no such name."""
        module, colon, name = loader_args.partition(":")
        if not colon:
            raise ValueError(f"an app is named by MODULE:NAME, not {loader_args!r}")
        return getattr(importlib.import_module(module), name)

    def loader_args(self, app: Any, root_dir: pathlib.Path) -> str | None:
        """The names of the module and the app, for code that is unpacked at `root_dir`; None if no module has the app."""
        root = pathlib.Path(root_dir).resolve()
        found: list[tuple[pathlib.Path, str]] = []
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if not isinstance(file, str) or not pathlib.Path(file).resolve().is_relative_to(root):
                continue
            path = pathlib.Path(file).resolve()
            found += [(path, name) for name, value in list(vars(module).items()) if value is app]
        # The file that made it comes before those that only know it.
        found.sort(key=lambda one: str(one[0]) != app.declared_in)
        if not found:
            return None
        path, name = found[0]
        return f"{'.'.join(path.relative_to(root).with_suffix('').parts)}:{name}"

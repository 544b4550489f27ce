"""`fserve`: fetches an app's code and starts it. Its options are those of the published package."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

_OPTIONS = {
    option: option[2:].replace("-", "_")
    for option in (
        "--version --project --domain --org --image-cache --tgz --pkl --dest --parameters --raw-data-path --resolver "
        "--resolver-args"
    ).split()
}
_SHORT = {"-v": "version"}


def main() -> int:
    """Starts the app that the command line names, in place of this process or in it, and returns the exit code."""
    found: dict[str, str] = {}
    rest = sys.argv[1:]
    while rest and rest[0] != "--":
        option, equals, value = rest.pop(0).partition("=")
        field = _OPTIONS.get(option) or _SHORT.get(option)
        if field is None:
            # The app's own command line begins.
            rest.insert(0, option + equals + value)
            break
        if not equals:
            if not rest:
                print(f"fserve: {option} needs a value", file=sys.stderr)
                return 2
            value = rest.pop(0)
        found[field] = value
    command = rest[1:] if rest[:1] == ["--"] else rest
    if found.get("parameters"):
        print("fserve: apps with parameters are not started by this package", file=sys.stderr)
        return 2
    destination = found.get("dest") or "."
    for path in (".", destination):
        if path not in sys.path:
            sys.path.insert(0, path)
    from flyte._initialize import init_in_cluster
    from flyte._runtime.code import unpack
    from flyte._runtime.module import take_local_paths

    take_local_paths(os.environ.get("_F_SYS_PATH"))
    init_in_cluster(
        org=found.get("org") or None, project=found.get("project") or None, domain=found.get("domain") or None
    )
    if found.get("tgz"):
        unpack(found["tgz"], destination)
    app = _app(found.get("resolver", ""), found.get("resolver_args", ""))
    if app is not None and app._server is not None:
        asyncio.run(serve_in_process(app))
        return 0
    if not command:
        print(
            "fserve: there is nothing to start: give the app args, or a function with @env.server",
            file=sys.stderr,
        )
        return 2
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"fserve: {command[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return 127


def _app(resolver: str, arguments: str) -> Any:
    if not resolver or not arguments:
        return None
    module, _, name = resolver.rpartition(".")
    return getattr(importlib.import_module(module), name)().load_app_env(arguments)


async def serve_in_process(app: Any) -> None:
    """Serves an app with the function that is decorated for it."""

    async def call(function: Callable[..., Any] | None) -> None:
        if function is not None:
            value = function()
            if inspect.isawaitable(value):
                await value

    await call(app._on_startup)
    try:
        await call(app._server)
    finally:
        await call(app._on_shutdown)


if __name__ == "__main__":
    sys.exit(main())

"""Serving apps on the control plane."""

from __future__ import annotations

from typing import Any

from flyte._threads import run_coroutine


async def _serve(app: Any, settings: dict[str, Any]) -> Any:
    from flyte._deploy import deploy
    from flyte.app import AppEnvironment
    from flyte.remote import App

    if not isinstance(app, AppEnvironment):
        raise TypeError(f"an app is served, not {app!r}: make a flyte.app.AppEnvironment")
    (deployment,) = await deploy.aio(app, **settings)
    return App(deployment.apps[app.name])


class _Serve:
    """Serves an app: `flyte.serve(env)`, or `await flyte.serve.aio(env)`."""

    def __call__(self, app_env: Any, **settings: Any) -> Any:
        """Deploys an app with what it depends on, has it run, and gives it as the control plane has it.

        Takes what `flyte.deploy` takes. Raises what that raises.
        """
        return run_coroutine(_serve(app_env, settings))

    async def aio(self, app_env: Any, **settings: Any) -> Any:
        """The same, awaited."""
        return await _serve(app_env, settings)


serve = _Serve()

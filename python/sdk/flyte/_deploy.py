"""Deploying environments: their tasks and apps are kept by the control plane, to be run from anywhere."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flyte._bundle import CopyStyle, bundle
from flyte._environment import Environment
from flyte._run import images_of, paths_of
from flyte._task_environment import TaskEnvironment
from flyte._threads import run_coroutine


@dataclass(frozen=True)
class DeployedTask:
    """A task that was deployed: its identifier (`flyteidl2.task.TaskIdentifier`) and spec, as proto-JSON."""

    task_id: dict[str, Any]
    spec: dict[str, Any]
    # Whether the control plane had this version of it already.
    existed: bool = False

    @property
    def name(self) -> str:
        """The task's name."""
        return str(self.task_id["name"])

    @property
    def version(self) -> str:
        """The version that it was deployed as."""
        return str(self.task_id["version"])


@dataclass(frozen=True)
class Deployment:
    """What was deployed: tasks and apps, by the environment's name."""

    version: str
    tasks: dict[str, list[DeployedTask]] = field(default_factory=dict)
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def envs(self) -> dict[str, list[DeployedTask]]:
        """The tasks, by the environment's name."""
        return self.tasks


async def _deploy(
    environments: Sequence[Environment],
    dry_run: bool,
    version: str | None,
    copy_style: CopyStyle,
    project: str | None,
    domain: str | None,
) -> list[Deployment]:
    from flyte import _unheeded
    from flyte._initialize import initialized, scope, session
    from flyte._runtime.spec import Serialization, deployed_spec
    from flyte.errors import AlreadyExistsError, DeploymentError

    if not environments:
        raise DeploymentError("there is nothing to deploy: give an environment")
    here = session()
    where = scope(project, domain)
    root = pathlib.Path(initialized().root_dir)
    deployments = []
    for environment in environments:
        if not isinstance(environment, Environment):
            raise TypeError(f"an environment is deployed, not {environment!r}")
        together = environment.with_dependencies()
        _unheeded.check(together)
        packed = None
        if copy_style != "none" and not dry_run:
            packed = await bundle(root, together, copy_style, where)
        chosen = version or (packed.computed_version if packed is not None else "dry-run" if dry_run else "")
        if not chosen:
            raise DeploymentError("without copied files a deployment needs a version: give version=...")
        serialization = Serialization(
            version=chosen,
            **where,
            bundle=packed,
            images=images_of(together),
            root=root,
            paths=paths_of(root),
        )
        made = Deployment(chosen)
        for one in together:
            if isinstance(one, TaskEnvironment):
                for task in one.tasks.values():
                    spec = await deployed_spec(task, serialization)
                    identifier = {**where, "name": task.name, "version": chosen}
                    existed = False
                    if not dry_run:
                        request: dict[str, Any] = {"taskId": identifier, "spec": spec}
                        triggers = [trigger.to_wire(task, spec) for trigger in task.triggers]
                        if triggers:
                            request["triggers"] = triggers
                        try:
                            await here.call("flyteidl2.task.TaskService/DeployTask", request)
                        except AlreadyExistsError:
                            existed = True
                    made.tasks.setdefault(one.name, []).append(DeployedTask(identifier, spec, existed))
            else:
                made.apps[one.name] = await one.deploy(here, serialization, dry_run)  # type: ignore[attr-defined]
        deployments.append(made)
    return deployments


class _Deploy:
    """Deploys environments: `flyte.deploy(env)`, or `await flyte.deploy.aio(env)`."""

    def __call__(
        self,
        *envs: Environment,
        dry_run: bool = False,
        version: str | None = None,
        interactive_mode: bool | None = None,
        copy_style: CopyStyle = "loaded_modules",
        project: str | None = None,
        domain: str | None = None,
        dryrun: bool | None = None,
    ) -> list[Deployment]:
        """Deploys environments, each with those that it depends on, and gives what was deployed.

        The default version is a hash of the code. A task that is already deployed in this version does not change. With `dry_run`
        (or `dryrun`, its older name) nothing is sent.

        Raises DeploymentError if something cannot be deployed, another error of `flyte.errors` if the control plane refuses, and
        NotImplementedError for `interactive_mode`, the deployment of functions of a notebook.
        """
        _refuse(interactive_mode)
        return run_coroutine(_deploy(envs, dry_run or bool(dryrun), version, copy_style, project, domain))

    async def aio(
        self,
        *envs: Environment,
        dry_run: bool = False,
        version: str | None = None,
        interactive_mode: bool | None = None,
        copy_style: CopyStyle = "loaded_modules",
        project: str | None = None,
        domain: str | None = None,
        dryrun: bool | None = None,
    ) -> list[Deployment]:
        """The same, awaited."""
        _refuse(interactive_mode)
        return await _deploy(envs, dry_run or bool(dryrun), version, copy_style, project, domain)


def _refuse(interactive_mode: bool | None) -> None:
    if interactive_mode:
        raise NotImplementedError("functions of a notebook cannot be deployed: write them to a file")


deploy = _Deploy()

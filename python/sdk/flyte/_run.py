"""Running tasks: here, or on the control plane."""

from __future__ import annotations

import logging
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from flyte._context import within
from flyte._controller import LocalController, random_name
from flyte._task import Task
from flyte._threads import run_coroutine
from flyte.models import ActionID, CodeBundle

Mode = Literal["local", "remote", "hybrid"]


async def run_local(
    task: Task[Any, Any],
    given: Mapping[str, Any],
    name: str | None = None,
    context: Mapping[str, str] | None = None,
    base: str | None = None,
) -> Any:
    """Runs a task and all that it calls in this process, and gives what it returns. What tasks store is below the directory `base`.

    Raises the error of `flyte.errors` that it ends in.
    """
    from flyte._runtime.convert import from_outputs, to_inputs

    inputs = await to_inputs(task.interface, dict(given), dict(context or {}))
    controller = LocalController(base)
    action = ActionID(name="a0", run_name=name or random_name(), project="local", domain="local", org="local")
    try:
        with within(task=None, controller=None, upload=None):
            outputs = await controller.execute(task, action, inputs, None)
    finally:
        controller.stop()
    return await from_outputs(task.interface, outputs)


class LocalRun:
    """A run that was done in this process. It has what a run of the control plane has: `outputs()`, `wait()`, `name`."""

    def __init__(self, name: str, task: Task[Any, Any], value: Any, base: str) -> None:
        self._name = name
        self._task = task
        self._value = value
        self._base = base

    @property
    def name(self) -> str:
        """The run's name."""
        return self._name

    @property
    def url(self) -> str:
        """None, because a local run has no page."""
        return ""

    @property
    def phase(self) -> str:
        """It is done."""
        return "succeeded"

    def done(self) -> bool:
        """It is done."""
        return True

    def wait(self, *args: Any, **kwargs: Any) -> None:
        """It is done."""

    def outputs(self) -> LocalOutputs:
        """What the task returned: `(None,)` for a task that returns nothing."""
        names = list(self._task.interface.outputs) or ["o0"]
        values = self._value if len(names) > 1 else (self._value,)
        return LocalOutputs(values, names)

    def get_report(self, attempt: int | None = None) -> str:
        """The HTML of the task's report; by default of the last attempt. Raises `flyte.errors.NotFoundError` if it has none."""
        from flyte.errors import NotFoundError
        from flyte.report._report import FILE

        found = {int(path.parent.name): path for path in pathlib.Path(self._base, "a0").glob(f"*/{FILE}")}
        path = found.get(attempt or max(found, default=0))
        if path is None:
            raise NotFoundError(f"{self._name} has no report", "", "not_found")
        return path.read_text()

    def __repr__(self) -> str:
        return f"<LocalRun {self._name} of {self._task.name}>"


class LocalOutputs(tuple[Any, ...]):
    """What a task returned: a tuple, with its outputs' names."""

    named_outputs: dict[str, Any]

    def __new__(cls, values: Sequence[Any], names: Sequence[str]) -> LocalOutputs:
        made = super().__new__(cls, values)
        made.named_outputs = dict(zip(names, values, strict=True))
        return made


class DryRun:
    """What would run, with `dry_run=True`: nothing was sent. The messages are proto-JSON."""

    name = "dry-run"

    def __init__(self, task_spec: dict[str, Any], inputs: dict[str, Any]) -> None:
        # `flyteidl2.task.TaskSpec`
        self.task_spec = task_spec
        # `flyteidl2.task.Inputs`
        self.inputs = inputs

    def __repr__(self) -> str:
        return f"<DryRun of {self.task_spec.get('taskTemplate', {}).get('id', {}).get('name', 'a task')}>"


@dataclass(frozen=True)
class _Runner:
    """Runs tasks: `context.run(task, x=1)`, or `await context.run.aio(task, x=1)`."""

    _context: RunContext

    def __call__(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs a task with these inputs and returns its run: at once for a remote run, and at its end for a local run.

        Raises TypeError if inputs are missing or unknown, TypeTransformerFailedError if one has the wrong type; for a run
        here, the error of `flyte.errors` that the task ends in; for one elsewhere, why it could not be started.
        """
        return run_coroutine(self._context._run(task, args, kwargs))

    async def aio(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """The same, awaited."""
        return await self._context._run(task, args, kwargs)


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """How a task is to be run: `flyte.with_runcontext(...).run(task, ...)`.

    `mode` is `local` or `remote`; by default, tasks run remotely if `flyte.init` named a control plane. `copy_style` says which
    files go along: `loaded_modules` (the imported ones), `all` (below the root directory) or `none` (the image has them). With
    `dry_run`, nothing is sent or run: the result has what would be sent.
    """

    mode: Mode | None = None
    name: str | None = None
    project: str | None = None
    domain: str | None = None
    version: str | None = None
    copy_style: Literal["loaded_modules", "all", "none"] = "loaded_modules"
    env_vars: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    interruptible: bool | None = None
    overwrite_cache: bool = False
    service_account: str | None = None
    queue: str | None = None
    raw_data_path: str | None = None
    run_base_dir: str | None = None
    max_action_concurrency: int = 0
    custom_context: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def run(self) -> _Runner:
        """Runs a task: `run(task, x=1)`, or `await run.aio(task, x=1)`."""
        return _Runner(self)

    async def aio(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """`run`, awaited."""
        return await self._run(task, args, kwargs)

    async def _run(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        from flyte._initialize import initialized, is_initialized

        remote = is_initialized() and initialized().session is not None
        mode = self.mode or ("remote" if remote else "local")
        if not isinstance(task, Task):
            return await self._run_deployed(task, args, kwargs)
        given = task.interface.convert_to_kwargs(*args, **kwargs)
        if mode == "local" and not self.dry_run:
            name, base = self.name or random_name(), tempfile.mkdtemp(prefix="flyte-run-")
            value = await run_local(task, given, name, self.custom_context, base)
            return LocalRun(name, task, value, base)
        return await self._run_remote(task, given)

    async def _run_deployed(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Runs what `flyte.remote.Task.get` gave."""
        from flyte._deployed import inputs_of
        from flyte._initialize import scope, session
        from flyte._upload import upload

        details = await task.fetch.aio() if hasattr(task, "fetch") else task
        if not hasattr(details, "task_id") or not hasattr(details, "spec"):
            raise TypeError(f"a task is run, not {task!r}: decorate the function with @env.task")
        if self.mode == "local":
            raise TypeError(
                f"{details.name} is a deployed task without a local function, so it can only run remotely"
            )
        where = scope(self.project, self.domain)
        with within(upload=None if self.dry_run else lambda what, name: upload(what, name, where)):
            inputs = await inputs_of(details.spec, args, kwargs, self.custom_context)
        if self.dry_run:
            return DryRun(details.spec, inputs)
        return await self.start(session(), where, {"taskId": dict(details.task_id)}, inputs)

    async def _run_remote(self, task: Task[Any, Any], given: Mapping[str, Any]) -> Any:
        from flyte import _unheeded
        from flyte._bundle import bundle
        from flyte._initialize import initialized, is_initialized, scope, session
        from flyte._runtime.convert import to_inputs
        from flyte._runtime.spec import Serialization, deployed_spec
        from flyte._upload import upload

        if self.dry_run and not is_initialized():
            where, root = {"project": self.project or "", "domain": self.domain or ""}, pathlib.Path.cwd()
        else:
            where, root = scope(self.project, self.domain), pathlib.Path(initialized().root_dir)
        if task.environment is None:
            raise TypeError(f"the environment of {task.name} is gone: keep it in a variable of the module")
        environments = task.environment.with_dependencies()
        _unheeded.check(environments)
        packed: CodeBundle | None = None
        if self.copy_style != "none" and not self.dry_run:
            packed = await bundle(root, environments, self.copy_style, where)
        version = self.version or (
            packed.computed_version if packed is not None else "dry-run" if self.dry_run else ""
        )
        if not version:
            raise TypeError("without copied files a run needs a version: with_runcontext(version=...)")
        with within(upload=None if self.dry_run else lambda what, name: upload(what, name, where)):
            inputs = await to_inputs(
                task.interface, given if isinstance(given, dict) else dict(given), dict(self.custom_context)
            )
        serialization = Serialization(
            version=version,
            **where,
            bundle=packed,
            images=images_of(environments),
            root=root,
            paths=paths_of(root),
        )
        spec = await deployed_spec(task, serialization)
        if self.dry_run:
            return DryRun(spec, inputs)
        return await self.start(session(), where, {"taskSpec": spec}, inputs, task.queue)

    async def start(
        self,
        here: Any,
        where: Mapping[str, str],
        task: Mapping[str, Any],
        inputs: Mapping[str, Any],
        queue: str | None = None,
    ) -> Any:
        """Creates the run of a task, given as `taskSpec` or `taskId`, with its inputs."""
        from flyte.remote import Run

        which: dict[str, Any]
        if self.name:
            which = {"runId": {**where, "name": self.name}}
        else:
            which = {
                "projectId": {
                    "organization": where["org"],
                    "domain": where["domain"],
                    "name": where["project"],
                }
            }
        request: dict[str, Any] = {**which, **task, "inputs": dict(inputs)}
        if self.run_base_dir:
            request["baseDir"] = self.run_base_dir
        uploaded = await here.call("flyteidl2.dataproxy.DataProxyService/UploadInputs", request)
        created = await here.call(
            "flyteidl2.workflow.RunService/CreateRun",
            {
                **which,
                **task,
                "offloadedInputData": uploaded.get("offloadedInputData", {}),
                "runSpec": self.spec(queue),
            },
        )
        return cast(Any, Run)(created.get("run", {}))

    def spec(self, queue: str | None = None) -> dict[str, Any]:
        """`flyteidl2.task.RunSpec`."""
        level = logging.getLogger("flyte").getEffectiveLevel()
        variables = {"LOG_LEVEL": str(level), **self.env_vars}
        for key, value in variables.items():
            if not isinstance(value, str):
                raise TypeError(f"env_vars are texts, not {key}={value!r}")
        found: dict[str, Any] = {
            "envs": {"values": [{"key": key, "value": value} for key, value in variables.items()]},
            "labels": {"values": dict(self.labels)},
            "annotations": {"values": dict(self.annotations)},
        }
        if self.interruptible is not None:
            found["interruptible"] = self.interruptible
        if self.overwrite_cache:
            found["overwriteCache"] = True
            found["cacheConfig"] = {"overwriteCache": True}
        if self.queue or queue:
            found["queue"] = self.queue or queue
        if self.service_account:
            found["securityContext"] = {"runAs": {"k8sServiceAccount": self.service_account}}
        if self.raw_data_path:
            found["rawDataStorage"] = {"rawDataPrefix": self.raw_data_path}
        if self.run_base_dir:
            found["runBaseDir"] = self.run_base_dir
        if self.max_action_concurrency:
            found["maxActionConcurrency"] = self.max_action_concurrency
        return found


def images_of(environments: Sequence[Any]) -> dict[str, str]:
    """The images of environments by their names."""
    from flyte._image import uri_of

    return {one.name: uri_of(one.image) for one in environments}


def paths_of(root: pathlib.Path) -> str:
    """The import paths below the root, unless they are not to be sent."""
    from flyte._initialize import initialized, is_initialized
    from flyte._runtime.module import local_paths

    return local_paths(root) if not is_initialized() or initialized().sync_local_sys_paths else ""


def with_runcontext(mode: Mode | None = None, **settings: Any) -> RunContext:
    """How the next task is to be run: `flyte.with_runcontext(mode="local", name="try-1").run(task, x=1)`.

    Takes the fields of `RunContext`. Raises TypeError for another.
    """
    # A word that other packages use for the same.
    if "copy_files" in settings:
        settings["copy_style"] = settings.pop("copy_files")
    # None says that a setting is not given.
    return replace(
        RunContext(mode=mode), **{key: value for key, value in settings.items() if value is not None}
    )


class _Run:
    """Runs a task: `flyte.run(task, x=1)`, or `await flyte.run.aio(task, x=1)`."""

    def __call__(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs a task with these inputs and gives its run.

        If `flyte.init` (or one of its variants) named a control plane, the task runs there, and the run is returned at once: `run.wait()`,
        `run.outputs()`. Otherwise it runs here, and is done.
        """
        return RunContext().run(task, *args, **kwargs)

    async def aio(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """The same, awaited."""
        return await RunContext().aio(task, *args, **kwargs)


run = _Run()

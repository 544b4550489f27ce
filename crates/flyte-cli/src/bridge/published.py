"""The adapter of the published package `flyte` (PyPI), version 2.10 or newer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import glob
import hashlib
import logging
import pathlib
import re
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from types import ModuleType
from typing import Any, TypeVar

from flyte_bridge import published_texts as texts
from flyte_bridge import serving
from flyte_bridge.adapter import Adapter
from flyte_bridge.loading import load, own_traceback
from flyte_bridge.protocol import Bridge, Message, Refused

import flyte
import flyte.errors
from flyte import _deploy, _initialize
from flyte._environment import list_loaded_environments
from flyte._internal.runtime import convert, task_serde, trigger_serde
from flyte._run import _run_mode_var
from flyte._task_environment import TaskEnvironment
from flyte.app import AppEnvironment
from flyte.git import GitStatus
from flyte.models import ActionID, CodeBundle, RawDataPath, SerializationContext, TaskContext
from flyte.remote import _data

# The oldest version whose internals are those that this adapter knows.
OLDEST = (2, 10)
# The variable by which the SDK's runtime learns where modules are looked for.
SYS_PATH = "_F_SYS_PATH"

Result = TypeVar("Result")


class Published(Adapter):
    """Answers about environments and tasks of the published package."""

    name = "published"
    capabilities = frozenset({"tasks", "triggers", "apps", "local", "images", "builds"})

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(bridge)
        self.version = str(flyte.__version__)
        numbers = re.match(r"(\d+)\.(\d+)", self.version)
        if numbers and (1, 0) <= (int(numbers[1]), int(numbers[2])) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise Refused(
                f"its package flyte is {self.version}, and {oldest} or newer is needed", code="sdk_old"
            )
        self.texts = texts.Texts(self.upload)
        self.context: SerializationContext | None = None
        self.sync_paths = True

    def prepare(self, request: Message) -> None:
        # The file may ask for its project while it is imported. There is no client: the command sends everything.
        given = {key: request[key] for key in ("org", "project", "domain") if request.get(key)}
        images = request.get("images") or {}
        flyte.init(
            root_dir=self.bridge.root,
            image_builder=images.get("builder") or "local",
            images=images.get("names") or {},
            image_registry=images.get("registry"),
            **given,
        )
        # All uploads of the SDK end here, and the command makes them.
        _data._upload_single_file = self.upload_file
        flyte.remote.upload_dir = texts.Both(self.upload_directory)
        # The SDK asks git once for each task.
        GitStatus.from_current_repo = functools.lru_cache(GitStatus.from_current_repo)
        for handler in logging.getLogger("flyte").handlers:
            # Standard output is for what tasks print.
            if hasattr(handler, "console"):
                handler.console.stderr = True

    def load(self, file: str, root: pathlib.Path) -> ModuleType:
        return load(file, root)

    def environments(self) -> list[Any]:
        return list(list_loaded_environments())

    def is_app(self, environment: Any) -> bool:
        return isinstance(environment, AppEnvironment)

    def declared_in(self, environment: Any) -> str | None:
        return environment._declaring_file

    def tasks(self, environment: Any) -> list[Any]:
        return list(environment.tasks.values()) if isinstance(environment, TaskEnvironment) else []

    def environment_of(self, task: Any) -> Any | None:
        return task.parent_env() if task.parent_env is not None else None

    def source_of(self, task: Any) -> str | None:
        return task.source_file

    def function_of(self, task: Any) -> str:
        return getattr(getattr(task, "func", None), "__name__", "")

    def described_task(self, task: Any) -> Message:
        said = task.native_interface.docstring
        parts = (said.short_description, said.long_description) if said is not None else ()
        return {
            "function": self.function_of(task),
            "short_name": task.short_name,
            "docs": "\n\n".join(part for part in parts if part),
            "inputs": texts.described_inputs(task.native_interface),
            "outputs": texts.described_outputs(task.native_interface),
        }

    # ---- inputs

    def inputs(self, task: Any, values: Message, context: dict[str, str]) -> bytes:
        interface = task.native_interface

        async def converted() -> Any:
            _run_mode_var.set("remote")
            return await convert.convert_from_native_to_inputs(
                interface, custom_context=context or None, **given
            )

        with self.configured(client=_NoClient()):
            given = self.texts.values(interface, values, local=False)
            inputs = _run(converted())
        return inputs.proto_inputs.SerializeToString()

    def upload(self, path: pathlib.Path) -> str:
        """Uploads a file or directory through the command."""
        return self.bridge.upload(path, path.resolve().name)

    async def upload_file(
        self,
        cfg: Any,
        fp: pathlib.Path,
        verify: bool = True,
        basedir: str | None = None,
        fname: str | None = None,
        **_: Any,
    ) -> tuple[str, str]:
        """Replaces the SDK's function of uploads."""
        with open(fp, "rb") as file:
            digest = hashlib.md5(usedforsecurity=False)
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest(), self.bridge.upload(
            pathlib.Path(fp), fname or pathlib.Path(fp).name, basedir or ""
        )

    def upload_directory(self, dir_path: pathlib.Path, verify: bool = True, prefix: str | None = None) -> str:
        """Replaces the SDK's function for directories, which forgets the directories below."""
        path = pathlib.Path(dir_path)
        return self.bridge.upload(path, path.resolve().name, prefix or "")

    # ---- specs

    def included(self, root: pathlib.Path, environments: Sequence[Any]) -> list[str]:
        found = []
        for environment in environments:
            if not environment.include:
                continue
            base = pathlib.Path(environment._declaring_file or root).parent
            for entry in environment.include:
                paths = [pathlib.Path(one) for one in sorted(glob.glob(str(base / entry), recursive=True))]
                files = [
                    file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))
                ]
                if not files:
                    raise Refused(f"the environment {environment.name} includes {entry}, which is not there")
                for file in files:
                    if not file.resolve().is_relative_to(root):
                        raise Refused(
                            f"the environment {environment.name} includes {file}, which is not below {root}"
                        )
                    if file.is_file() and "__pycache__" not in file.parts:
                        found.append(file.resolve().relative_to(root).as_posix())
        return found

    @contextlib.contextmanager
    def serializing(self, request: Message, environments: Sequence[Any]) -> Iterator[None]:
        bundle, root = request.get("bundle"), self.bridge.root
        place = {key: request.get(key) or None for key in ("project", "domain", "org")}
        self.sync_paths = request.get("sync_paths", True)
        with self.configured(**place, sync_local_sys_paths=self.sync_paths):
            self.context = SerializationContext(
                version=request["version"],
                code_bundle=CodeBundle(computed_version=request["version"], tgz=bundle) if bundle else None,
                image_cache=self.image_cache(request, environments),
                root_dir=root,
                **place,
            )
            yield

    def image_cache(self, request: Message, environments: Sequence[Any]) -> Any:
        """The images of environments, as the SDK's own runtime takes them."""
        if image := request.get("image"):
            return _image_cache_type()(image_lookup={one.name: str(image) for one in environments})
        if _initialize.get_init_config().image_builder == "remote":
            for one in environments:
                # An image of the SDK's own releases is there already.
                if isinstance(one.image, flyte.Image) and getattr(one.image, "_is_cloned", True):
                    raise Refused(
                        f"the environment {one.name} needs an image of the remote image builder, which this command does "
                        "not use: build it with the published command (flyte build), and give it with --image"
                    )
        return _run(_deploy.build_images.aio(*environments))

    def spec(self, task: Any) -> bytes:
        cfg = _initialize.get_init_config()
        spec = task_serde.translate_task_to_wire(
            self.with_paths(task),
            self.said(),
            default_inputs=None,
            task_context=self.task_context(cfg.project, cfg.domain, cfg.org),
        )
        identifier = spec.task_template.id
        for key in ("project", "domain", "org"):
            if not getattr(identifier, key):
                setattr(identifier, key, getattr(cfg, key) or "")
        return spec.SerializeToString()

    def deployed_spec(self, task: Any) -> tuple[bytes, list[bytes]]:
        return _run(self.deployed(task))

    async def deployed(self, task: Any) -> tuple[bytes, list[bytes]]:
        """The spec and the triggers as the SDK's own `deploy` makes them."""
        interface = task.native_interface
        spec = task_serde.translate_task_to_wire(
            self.with_paths(task),
            self.said(),
            default_inputs=await convert.convert_upload_default_inputs(interface),
            task_context=self.task_context(
                "{{.executionProject}}", "{{.executionDomain}}", "{{.executionOrg}}"
            ),
        )
        environment = self.environment_of(task)
        if environment is not None and environment.description:
            spec.environment.description = environment.description
        with _quiet():
            spec.documentation.CopyFrom(_deploy._get_documentation_entity(task))
        described = _deploy._update_interface_inputs_and_outputs_docstring(
            spec.task_template.interface, interface
        )
        spec.task_template.interface.CopyFrom(described)
        triggers = [
            await trigger_serde.to_task_trigger(
                t=trigger,
                task_name=task.name,
                task_inputs=spec.task_template.interface.inputs,
                task_default_inputs=list(spec.default_inputs),
            )
            for trigger in task.triggers
        ]
        return spec.SerializeToString(), [trigger.SerializeToString() for trigger in triggers]

    def app(self, environment: Any) -> tuple[bytes, bytes]:
        from flyte.app._runtime import translate_app_env_to_idl

        app = _run(translate_app_env_to_idl.aio(environment, self.said()))
        images = self.said().image_cache.image_lookup
        if environment.name in images and app.spec.HasField("container"):
            app.spec.container.image = images[environment.name]
        return app.SerializeToString(), app.spec.SerializeToString()

    def with_paths(self, task: Any) -> Any:
        """A copy of a task that finds modules where this process does, unless the request says otherwise."""
        if not self.sync_paths:
            return task
        copy = task.__copy__() if hasattr(task, "__copy__") else dataclasses.replace(task)
        copy.env_vars = {**(task.env_vars or {}), SYS_PATH: self.paths()}
        return copy

    def paths(self) -> str:
        """The directories below the root in which modules are looked for."""
        root = self.bridge.root
        found = []
        for entry in sys.path:
            path = pathlib.Path(entry or ".").resolve()
            if path.is_relative_to(root) and "site-packages" not in path.parts and path.is_dir():
                found.append(f"./{path.relative_to(root)}")
        return ":".join(dict.fromkeys(found))

    def task_context(self, project: str | None, domain: str | None, org: str | None) -> TaskContext:
        """The context from which the SDK makes the links of logs."""
        import flyte.report

        action = ActionID(
            name="{{.actionName}}", run_name="{{.runName}}", project=project, domain=domain, org=org
        )
        return TaskContext(
            action=action,
            code_bundle=self.said().code_bundle,
            output_path="",
            version=self.said().version,
            raw_data_path=RawDataPath(path=""),
            compiled_image_cache=self.said().image_cache,
            run_base_dir="",
            report=flyte.report.Report(name=action.name),
            custom_context={},
        )

    def said(self) -> SerializationContext:
        """What the request says beyond the tasks."""
        if self.context is None:
            raise Refused("no request for specs is being answered")
        return self.context

    @contextlib.contextmanager
    def configured(self, **changes: Any) -> Iterator[None]:
        """The SDK's configuration with changes, for as long as the context is entered."""
        before = _initialize._init_config
        # A file may have initialized the SDK for itself.
        _initialize._init_config = _initialize.get_init_config().replace(root_dir=self.bridge.root, **changes)
        try:
            yield
        finally:
            _initialize._init_config = before

    # ---- on this machine

    def port_of(self, environment: Any) -> int:
        return int(environment.get_port().port)

    def serve_locally(self, environment: Any) -> int:
        with _Failures() as failures:
            try:
                context = flyte.with_servecontext(mode="local", deactivate_timeout=serving.GRACE)
                app = context.serve(environment)
            except FileNotFoundError as error:
                raise Refused(f"{error.filename} cannot be started: {error.strerror}", "app") from None
            try:
                while not app.is_deactivated():
                    time.sleep(serving.INTERVAL)
            finally:
                app.deactivate(wait=app._process is not None)
                if app._thread is not None:
                    # A function that does not end by itself ends with this process.
                    app._thread.join(1)
        if failures.last is not None:
            raise Refused(
                f"{type(failures.last).__name__}: {failures.last}", "", own_traceback(failures.last)
            )
        return app._process.returncode if app._process is not None else 0

    def run_local(self, task: Any, values: Message) -> Message:
        interface = task.native_interface
        given = self.texts.values(interface, values, local=True)
        with _Failures() as failures:
            try:
                run = flyte.with_runcontext(mode="local").run(task, **given)
                outputs = list(run.outputs())
            except flyte.errors.BaseRuntimeError as error:
                # The SDK has replaced the error of the task's own code with its own.
                cause = failures.last or error
                message = self.failure(error) or {}
                raise Refused(message["message"], "", own_traceback(cause), error.code) from error
        return {name: texts.plain(value) for name, value in zip(interface.outputs, outputs, strict=False)}

    def failure(self, error: BaseException) -> Message | None:
        if not isinstance(error, flyte.errors.BaseRuntimeError):
            return None
        message = str(error)
        # The code of an error of a task is the name of its class.
        if error.kind == "user" and error.code.isidentifier() and not message.startswith(error.code):
            message = f"{error.code}: {message}"
        return {"message": message, "code": error.code, "traceback": own_traceback(error)}


class _Failures(logging.Filter):
    """Takes the errors that the SDK logs, and keeps the last one. They are shown at the end, without the SDK's own frames."""

    last: BaseException | None = None

    def __enter__(self) -> _Failures:
        logging.getLogger("flyte").addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("flyte").removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            self.last = record.exc_info[1]
            return False
        return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the SDK's warnings, for example that the file is not in a git repository."""
    logger = logging.getLogger("flyte")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


class _NoClient:
    """Stands for a client while the SDK prepares things that the command sends."""

    def __getattr__(self, name: str) -> Any:
        raise Refused(f"the SDK needs the control plane for this ({name}), and the command does not lend it")


def _image_cache_type() -> Any:
    """The type of the table of images; it has moved between versions."""
    try:
        from flyte._internal.image_cache import ImageCache
    except ImportError:
        from flyte._internal.imagebuild.image_builder import ImageCache
    return ImageCache


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(coroutine)

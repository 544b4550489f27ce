"""The adapter of this project's own package `flyte`."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import shlex
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from flyte_bridge import serving
from flyte_bridge.adapter import Adapter
from flyte_bridge.loading import load
from flyte_bridge.protocol import Bridge, Message, Refused

import flyte
from flyte._environment import Environment, environments
from flyte._image import name_images, uri_of
from flyte._interface import EMPTY, NativeInterface
from flyte._runtime import texts
from flyte._runtime.spec import Serialization, deployed_spec, task_spec
from flyte._task import Task
from flyte._task_environment import TaskEnvironment
from flyte._wire import encode
from flyte.app import AppEnvironment
from flyte.errors import BaseRuntimeError, DeploymentError
from flyte.types import TypeEngine, TypeTransformerFailedError, _hints


class Ours(Adapter):
    """Answers about environments and tasks of our package."""

    name = "flyte-auth"
    capabilities = frozenset({"tasks", "triggers", "apps", "local", "images"})

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(bridge)
        self.version = flyte.__version__
        self.serialization: Serialization | None = None

    def prepare(self, request: Message) -> None:
        # The file may ask for an image while it is imported.
        name_images((request.get("images") or {}).get("names") or {})

    def load(self, file: str, root: pathlib.Path) -> ModuleType:
        return load(file, root)

    def environments(self) -> list[Environment]:
        return environments()

    def is_app(self, environment: Environment) -> bool:
        return isinstance(environment, AppEnvironment)

    def declared_in(self, environment: Environment) -> str | None:
        return environment.declared_in

    def tasks(self, environment: Environment) -> list[Task[Any, Any]]:
        return list(environment.tasks.values()) if isinstance(environment, TaskEnvironment) else []

    def environment_of(self, task: Task[Any, Any]) -> Environment | None:
        return task.environment

    def source_of(self, task: Task[Any, Any]) -> str | None:
        return task.source_file

    def function_of(self, task: Task[Any, Any]) -> str:
        return task.func.__name__

    def described_task(self, task: Task[Any, Any]) -> Message:
        said = task.interface.docstring
        inputs = []
        for name, (python_type, default) in task.interface.inputs.items():
            literal_type = TypeEngine.to_literal_type(python_type)
            one: Message = {
                "name": name,
                "type": literal_type,
                "python_type": _shown(python_type),
                "required": default is EMPTY,
                "help": said.input_descriptions.get(name, ""),
                "is_list": "collectionType" in _plain_type(literal_type),
            }
            if default is not EMPTY:
                one["default"] = texts.show(default, python_type)
            options = texts.choices(python_type)
            if options is not None:
                one["choices"] = options
            inputs.append(one)
        return {
            "function": self.function_of(task),
            "short_name": task.short_name,
            "docs": "\n\n".join(part for part in (said.short_description, said.long_description) if part),
            "inputs": inputs,
            "outputs": [
                {"name": name, "type": TypeEngine.to_literal_type(one), "python_type": _shown(one)}
                for name, one in task.interface.outputs.items()
            ],
        }

    def inputs(self, task: Task[Any, Any], values: Message, context: dict[str, str]) -> bytes:
        from flyte._context import within
        from flyte._runtime.convert import to_inputs

        given = _values(task.interface, values)
        with within(upload=self.upload):
            try:
                inputs = asyncio.run(to_inputs(task.interface, given, context or None))
            except TypeTransformerFailedError as error:
                field = str(error).split(" ", 1)[0]
                raise Refused(str(error), field if field in task.interface.inputs else "") from None
        encoded = encode("flyteidl2.task.Inputs", inputs)
        if len(encoded) > task.max_inline_io_bytes:
            raise Refused(
                f"the inputs have {len(encoded)} bytes, and at most {task.max_inline_io_bytes} are allowed: "
                "pass a file instead"
            )
        return encoded

    async def upload(self, what: bytes | pathlib.Path, name: str) -> str:
        """Uploads through the command, while inputs are converted."""
        return self.bridge.upload(what, name)

    def included(self, root: pathlib.Path, environments: Sequence[Environment]) -> list[str]:
        from flyte._bundle import included

        return [file.relative_to(root).as_posix() for file in included(root, list(environments))]

    @contextlib.contextmanager
    def serializing(self, request: Message, environments: Sequence[Environment]) -> Iterator[None]:
        from flyte import _unheeded
        from flyte._runtime.module import local_paths
        from flyte.models import CodeBundle

        _unheeded.check(list(environments))
        bundle, image = request.get("bundle"), request.get("image")
        images = {one.name: str(image or uri_of(one.image)) for one in self.environments()}
        self.serialization = Serialization(
            version=request["version"],
            project=request.get("project") or "",
            domain=request.get("domain") or "",
            org=request.get("org") or "",
            bundle=CodeBundle(computed_version=request["version"], tgz=bundle) if bundle else None,
            images=images,
            root=self.bridge.root,
            paths=local_paths(self.bridge.root) if request.get("sync_paths", True) else "",
        )
        yield

    def spec(self, task: Task[Any, Any]) -> bytes:
        return encode("flyteidl2.task.TaskSpec", task_spec(task, self.said()))

    def deployed_spec(self, task: Task[Any, Any]) -> tuple[bytes, list[bytes]]:
        spec = asyncio.run(deployed_spec(task, self.said()))
        triggers = [
            encode("flyteidl2.task.TaskTrigger", trigger.to_wire(task, spec)) for trigger in task.triggers
        ]
        return encode("flyteidl2.task.TaskSpec", spec), triggers

    def app(self, environment: AppEnvironment) -> tuple[bytes, bytes]:
        app = environment.to_wire(self.said())
        return encode("flyteidl2.app.App", app), encode("flyteidl2.app.Spec", app["spec"])

    def said(self) -> Serialization:
        """What the request says beyond the tasks."""
        if self.serialization is None:
            raise DeploymentError("no request for specs is being answered")
        return self.serialization

    def port_of(self, environment: AppEnvironment) -> int:
        return environment.listens_on

    def serve_locally(self, environment: AppEnvironment) -> int:
        from flyte._bin.serve import serve_in_process

        command = environment.command if environment.command is not None else environment.args
        if environment.command is None and environment._server is not None:
            asyncio.run(serve_in_process(environment))
            return 0
        words = shlex.split(command) if isinstance(command, str) else list(command or [])
        if not words:
            raise Refused(
                "there is nothing to start: give the app args, or a function with @env.server", "app"
            )
        return serving.run(words)

    def run_local(self, task: Task[Any, Any], values: Message) -> Message:
        from flyte._run import run_local

        outputs = asyncio.run(run_local(task, _values(task.interface, values)))
        names = list(task.interface.outputs)
        returned = outputs if len(names) > 1 else (outputs,) if names else ()
        shown = {}
        for name, value in zip(names, returned, strict=True):
            try:
                shown[name] = texts.plain(value)
            except TypeError:
                shown[name] = repr(value)
        return shown

    def failure(self, error: BaseException) -> Message | None:
        if not isinstance(error, BaseRuntimeError):
            return None
        message, _, traceback = str(error).partition("\n")
        return {"message": message, "code": error.code, "traceback": traceback.strip()}


def _values(interface: NativeInterface, given: Message) -> dict[str, Any]:
    """Converts texts to values."""
    found = {}
    for name, text in given.items():
        if name not in interface.inputs:
            names = ", ".join(interface.inputs) or "none"
            raise Refused(f"unknown input {name}; the inputs are {names}", name)
        try:
            found[name] = texts.parse(text, interface.inputs[name][0])
        except (TypeError, ValueError) as error:
            raise Refused(str(error), name) from None
    for name in interface.required_inputs():
        if name not in found:
            raise Refused(f"{name} is missing", name)
    return found


def _shown(python_type: Any) -> str:
    options = texts.choices(python_type)
    if options is not None and _hints.bare(python_type) is not bool:
        return "|".join(options)
    return _hints.name(_hints.bare(python_type))


def _plain_type(literal_type: Message) -> Message:
    """The type itself of an optional one."""
    variants = literal_type.get("unionType", {}).get("variants", [])
    some = [one for one in variants if one.get("simple") != "NONE"]
    return some[0] if len(some) == 1 else literal_type

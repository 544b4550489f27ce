"""`python -m flyte._bridge`: how the `flyte` command learns about Python files.

It reads one JSON object per line and writes one per line; docs/reference/bridge.md has the words. What imported files print goes to
standard error.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

from flyte._environment import Environment
from flyte._interface import EMPTY, NativeInterface
from flyte._runtime import texts
from flyte._runtime.load import load
from flyte._task import Task
from flyte._task_environment import TaskEnvironment
from flyte.types import TypeEngine, TypeTransformerFailedError, _hints

Message = dict[str, Any]


class Refused(Exception):
    """A request that cannot be done, with the field that is wrong."""

    def __init__(self, message: str, field: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.traceback = traceback


class Bridge:
    """What was loaded, and the answers about it."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self.requests = requests
        self.answers = answers
        self.lock = threading.Lock()
        self.root = pathlib.Path.cwd()
        self.environments: list[Environment] = []
        self.module: Any = None

    def send(self, message: Message) -> None:
        """Writes one message."""
        with self.lock:
            self.answers.write(json.dumps(message) + "\n")
            self.answers.flush()

    def serve(self) -> None:
        """Answers requests until the input ends."""
        while line := self.requests.readline():
            if line.strip():
                self.send(self.answered(line))

    def answered(self, line: str) -> Message:
        """The answer to one request; failures are answers too."""
        from flyte._runtime.convert import own_traceback
        from flyte.errors import BaseRuntimeError

        try:
            request = json.loads(line)
            do = request.get("do") if isinstance(request, dict) else None
            method = getattr(self, f"do_{do}", None)
            if method is None:
                raise Refused(f"unknown request {do!r}", "do")
            answer: Message = method(request)
            return answer
        except Refused as error:
            described = {"message": str(error), "field": error.field, "traceback": error.traceback}
        except BaseRuntimeError as error:
            message, _, traceback = str(error).partition("\n")
            described = {"message": message, "code": error.code, "traceback": traceback.strip()}
        except (Exception, SystemExit) as error:
            lines = own_traceback(error)
            described = {"message": f"{type(error).__name__}: {error}", "traceback": "".join(lines).rstrip()}
        return {"error": {key: value for key, value in described.items() if value}}

    # ---- requests

    def do_describe(self, request: Message) -> Message:
        """Imports a file and describes its environments and tasks."""
        self.root = pathlib.Path(
            request.get("root") or pathlib.Path(request["file"]).resolve().parent
        ).resolve()
        self.module, self.environments = load(request["file"], self.root)
        return {"environments": [self.described(environment) for environment in self.environments]}

    def do_inputs(self, request: Message) -> Message:
        """The inputs of a task, encoded, of texts."""
        from flyte._context import within
        from flyte._runtime.convert import to_inputs
        from flyte._wire import encode

        task = self.task(request)
        given = self.values(task.interface, request.get("values") or {})
        with within(upload=self.upload):
            try:
                inputs = asyncio.run(to_inputs(task.interface, given, request.get("context")))
            except TypeTransformerFailedError as error:
                field = str(error).split(" ", 1)[0]
                raise Refused(str(error), field if field in task.interface.inputs else "") from None
        encoded = encode("flyteidl2.task.Inputs", inputs)
        if len(encoded) > task.max_inline_io_bytes:
            raise Refused(
                f"the inputs have {len(encoded)} bytes, and {task.max_inline_io_bytes} are taken: hand on a file instead"
            )
        return {"inputs": base64.b64encode(encoded).decode()}

    def do_include(self, request: Message) -> Message:
        """The files that environments include, by their paths below the root: of a task's environment, or of those that are deployed."""
        from flyte._bundle import included

        if request.get("task"):
            environment = self.task(request).environment
            environments = environment.with_dependencies() if environment is not None else []
        else:
            environments = list(self.deployed(request))
        files = included(self.root, environments)
        return {"files": sorted(file.relative_to(self.root).as_posix() for file in files)}

    def do_spec(self, request: Message) -> Message:
        """The spec of one task, encoded, as a run takes it."""
        from flyte import _unheeded
        from flyte._runtime.spec import task_spec

        task = self.task(request)
        if task.environment is not None:
            _unheeded.check(task.environment.with_dependencies())
        return {"task": task.name, "spec": self.encoded(task_spec(task, self.serialization(request, task)))}

    def do_specs(self, request: Message) -> Message:
        """The specs of all tasks, encoded, for a deployment: of the file's own environments and those that they depend on, or of `all`."""
        from flyte import _unheeded
        from flyte._runtime.spec import deployed_spec

        _unheeded.check(self.deployed(request))
        specs = []
        for environment in self.deployed(request):
            if isinstance(environment, TaskEnvironment):
                for task in environment.tasks.values():
                    spec = asyncio.run(deployed_spec(task, self.serialization(request, task)))
                    triggers = self.triggers(task, spec)
                    specs.append({"task": task.name, "spec": self.encoded(spec), "triggers": triggers})
        return {"specs": specs}

    def do_apps(self, request: Message) -> Message:
        """The apps, encoded."""
        from flyte._wire import encode
        from flyte.app import AppEnvironment

        apps = []
        for environment in self.deployed(request):
            if isinstance(environment, AppEnvironment):
                app = environment.to_wire(self.serialization(request, None))
                apps.append(
                    {
                        "name": environment.name,
                        "app": base64.b64encode(encode("flyteidl2.app.App", app)).decode(),
                        "spec": base64.b64encode(encode("flyteidl2.app.Spec", app["spec"])).decode(),
                    }
                )
        return {"apps": apps}

    def do_app(self, request: Message) -> Message:
        """One app, encoded."""
        found = [
            one for one in self.do_apps({**request, "all": True})["apps"] if one["name"] == request.get("app")
        ]
        if not found:
            raise Refused(f"unknown app {request.get('app')!r}", "app")
        return dict(found[0])

    def do_run_local(self, request: Message) -> Message:
        """Runs a task in this process. What it prints is sent line by line."""
        from flyte._run import run_local

        task = self.task(request)
        given = self.values(task.interface, request.get("values") or {})
        with self.printing():
            outputs = asyncio.run(run_local(task, given))
        names = list(task.interface.outputs)
        values = outputs if len(names) > 1 else (outputs,) if names else ()
        shown = {}
        for name, value in zip(names, values, strict=True):
            try:
                shown[name] = texts.plain(value)
            except TypeError:
                shown[name] = repr(value)
        return {"outputs": shown}

    # ---- parts

    def described(self, environment: Environment) -> Message:
        """An environment for people to choose from."""
        described: Message = {
            "name": environment.name,
            "description": environment.description or "",
            "file": environment.declared_in,
            "depends_on": [one.name for one in environment.depends_on],
            "own": self.is_own(environment),
        }
        if isinstance(environment, TaskEnvironment):
            described["tasks"] = [self.described_task(task) for task in environment.tasks.values()]
        else:
            described["app"] = {"name": environment.name}
        return described

    def is_own(self, environment: Environment) -> bool:
        """Whether the file that was asked about made it, or one of its tasks."""
        own = pathlib.Path(self.module.__file__).resolve()
        files = [environment.declared_in]
        if isinstance(environment, TaskEnvironment):
            files += [task.source_file for task in environment.tasks.values()]
        return any(file is not None and pathlib.Path(file).resolve() == own for file in files)

    def described_task(self, task: Task[Any, Any]) -> Message:
        """A task with its inputs and outputs."""
        said = task.interface.docstring
        inputs = []
        for name, (python_type, default) in task.interface.inputs.items():
            one: Message = {
                "name": name,
                "type": TypeEngine.to_literal_type(python_type),
                "python_type": _shown(python_type),
                "required": default is EMPTY,
                "help": said.input_descriptions.get(name, ""),
                "is_list": "collectionType" in _plain_type(TypeEngine.to_literal_type(python_type)),
            }
            if default is not EMPTY:
                one["default"] = texts.show(default, python_type)
            options = texts.choices(python_type)
            if options is not None:
                one["choices"] = options
            inputs.append(one)
        return {
            "name": task.name,
            "function": task.func.__name__,
            "short_name": task.short_name,
            "docs": "\n\n".join(part for part in (said.short_description, said.long_description) if part),
            "inputs": inputs,
            "outputs": [
                {"name": name, "type": TypeEngine.to_literal_type(one), "python_type": _shown(one)}
                for name, one in task.interface.outputs.items()
            ],
        }

    def tasks(self) -> dict[str, Task[Any, Any]]:
        """All tasks by their names."""
        return {
            name: task
            for environment in self.environments
            if isinstance(environment, TaskEnvironment)
            for name, task in environment.tasks.items()
        }

    def task(self, request: Message) -> Task[Any, Any]:
        """The task that a request names, by its name or that of its function."""
        if self.module is None:
            raise Refused("nothing was loaded: send describe first", "do")
        name = request.get("task")
        tasks = self.tasks()
        if name in tasks:
            return tasks[name]
        found = [task for task in tasks.values() if name == task.func.__name__]
        if len(found) != 1:
            which = "several tasks have the function" if found else "no task"
            raise Refused(f"{which} {name!r}; there are {', '.join(tasks) or 'none'}", "task")
        return found[0]

    def values(self, interface: NativeInterface, given: Message) -> dict[str, Any]:
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

    def deployed(self, request: Message) -> list[Environment]:
        """The environments that a deployment is of, each with what it needs, once."""
        if self.module is None:
            raise Refused("nothing was loaded: send describe first", "do")
        wanted = request.get("environments")
        chosen = [
            environment
            for environment in self.environments
            if (environment.name in wanted if wanted else request.get("all") or self.is_own(environment))
        ]
        found: list[Environment] = []
        for environment in chosen:
            found += [one for one in environment.with_dependencies() if one not in found]
        names: dict[str, Environment] = {}
        for environment in found:
            if names.setdefault(environment.name, environment) is not environment:
                raise Refused(f"two environments have the name {environment.name}")
        return found

    def serialization(self, request: Message, task: Task[Any, Any] | None) -> Any:
        """What the specs say beyond the tasks."""
        from flyte._image import uri_of
        from flyte._runtime.module import local_paths
        from flyte._runtime.spec import Serialization
        from flyte.models import CodeBundle

        bundle = request.get("bundle")
        images: dict[str, str] = {one.name: uri_of(one.image) for one in self.environments}
        if request.get("image"):
            images = dict.fromkeys(images, str(request["image"]))
        if not request.get("version"):
            raise Refused("version is missing", "version")
        return Serialization(
            version=request["version"],
            project=request.get("project") or "",
            domain=request.get("domain") or "",
            org=request.get("org") or "",
            bundle=CodeBundle(computed_version=request["version"], tgz=bundle) if bundle else None,
            images=images,
            root=self.root,
            paths=local_paths(self.root),
        )

    def encoded(self, spec: Message) -> str:
        """A task's spec in base64."""
        from flyte._wire import encode

        return base64.b64encode(encode("flyteidl2.task.TaskSpec", spec)).decode()

    def triggers(self, task: Task[Any, Any], spec: Message) -> list[str]:
        """A task's triggers, each in base64."""
        from flyte._wire import encode

        return [
            base64.b64encode(encode("flyteidl2.task.TaskTrigger", trigger.to_wire(task, spec))).decode()
            for trigger in task.triggers
        ]

    async def upload(self, what: bytes | pathlib.Path, name: str) -> str:
        """Has the command upload a file or directory, and returns its URL."""
        if isinstance(what, bytes):
            path = pathlib.Path(tempfile.mkdtemp(prefix="flyte-"), name)
            path.write_bytes(what)
        else:
            path = what
        self.send({"upload": {"path": str(path.absolute()), "name": name, "directory": path.is_dir()}})
        answer = json.loads(self.requests.readline() or "{}")
        if "uri" not in answer:
            raise Refused(f"{path} cannot be uploaded: {answer.get('error') or 'no answer'}")
        return str(answer["uri"])

    @contextlib.contextmanager
    def printing(self) -> Iterator[None]:
        """Sends what is printed, line by line."""
        before = sys.stdout
        sys.stdout = _Lines(self)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stdout = before


class _Lines:
    """Takes what is printed and sends whole lines."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.rest = ""
        self.lock = threading.Lock()

    def write(self, text: str) -> int:
        with self.lock:
            *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.bridge.send({"log": {"stream": "stdout", "text": line}})
        return len(text)

    def flush(self) -> None:
        with self.lock:
            rest, self.rest = self.rest, ""
        if rest:
            self.bridge.send({"log": {"stream": "stdout", "text": rest}})

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return sys.__stderr__.fileno()  # type: ignore[union-attr]


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


def main() -> None:
    """Serves standard input. Its file descriptors are put elsewhere, so that nothing that a task's file prints or reads, or a program that
    it starts, gets between requests and answers."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # Do not import from the bridge's own directory.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        sys.path.pop(0)
    Bridge(requests, answers).serve()


if __name__ == "__main__":
    main()

"""The protocol between the `flyte` command and Python, as docs/reference/bridge.md describes it."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import pathlib
import platform
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from flyte_bridge.loading import NotImportable, own_traceback

if TYPE_CHECKING:
    from flyte_bridge.adapter import Adapter

Message = dict[str, Any]

# Modules by which an SDK is recognized, and the module and class that know its internals.
SDKS = (
    ("flyte._runtime.texts", "flyte_bridge.ours", "Ours"),
    ("flyte._internal.runtime.task_serde", "flyte_bridge.published", "Published"),
)


class Refused(Exception):
    """A request that cannot be answered, with the wrong field."""

    def __init__(self, message: str, field: str = "", traceback: str = "", code: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.traceback = traceback
        self.code = code


class Bridge:
    """What was imported, and the answers about it."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self.requests = requests
        self.answers = answers
        self.lock = threading.Lock()
        # Uploads of several threads are requested one after the other.
        self.uploading = threading.Lock()
        self.root = pathlib.Path.cwd()
        self.modules: list[Any] = []
        self.environments: list[Any] = []
        self.found: Adapter | None = None

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
        """The answer to one request. Failures are answers too."""
        try:
            request = json.loads(line)
            do = request.get("do") if isinstance(request, dict) else None
            method = getattr(self, f"do_{do}", None)
            if method is None:
                raise Refused(f"unknown request {do!r}", "do")
            answer: Message = method(request)
            return answer
        except (Exception, SystemExit) as error:
            return {"error": {key: value for key, value in self.failure(error).items() if value}}

    def failure(self, error: BaseException) -> Message:
        """An error as an answer has it."""
        if isinstance(error, Refused):
            return {
                "message": str(error),
                "field": error.field,
                "traceback": error.traceback,
                "code": error.code,
            }
        if isinstance(error, NotImportable):
            return {"message": str(error), "traceback": error.traceback, "code": "ModuleLoadError"}
        if self.found is not None and (known := self.found.failure(error)) is not None:
            return known
        return {"message": f"{type(error).__name__}: {error}", "traceback": own_traceback(error)}

    # ---- requests

    def do_sdk(self, _: Message) -> Message:
        """Which SDK this Python has, and what it can be asked."""
        adapter = self.adapter()
        return {
            "sdk": adapter.name,
            "version": adapter.version,
            "python": platform.python_version(),
            "capabilities": sorted(adapter.capabilities),
        }

    def do_describe(self, request: Message) -> Message:
        """Imports files and describes their environments and tasks."""
        adapter = self.adapter()
        files = request["files"] if "files" in request else [request["file"]]
        root = request.get("root") or pathlib.Path(files[0]).resolve().parent
        self.root = pathlib.Path(root).resolve()
        adapter.prepare(request)
        failed = []
        for file in files:
            try:
                self.modules.append(adapter.load(file, self.root))
            except NotImportable as error:
                if not request.get("ignore_failures"):
                    raise
                failed.append({"file": str(file), "message": str(error), "traceback": error.traceback})
        self.environments = adapter.environments()
        described = [self.described(environment) for environment in self.environments]
        return {"environments": described, "failed": failed}

    def do_inputs(self, request: Message) -> Message:
        """The inputs of a task, encoded, from texts."""
        task = self.task(request)
        encoded = self.adapter().inputs(task, request.get("values") or {}, request.get("context") or {})
        return {"inputs": _base64(encoded)}

    def do_include(self, request: Message) -> Message:
        """The files that environments include in the bundle: those of a task's environment, or of a deployment."""
        adapter = self.adapter()
        if request.get("task"):
            environment = adapter.environment_of(self.task(request))
            environments = [] if environment is None else _with_dependencies(environment)
        else:
            environments = self.deployed(request)
        return {"files": sorted(set(adapter.included(self.root, environments)))}

    def do_spec(self, request: Message) -> Message:
        """The spec of one task, encoded, for a run."""
        task = self.task(request)
        _check_version(request)
        environment = self.adapter().environment_of(task)
        environments = self.environments if environment is None else _with_dependencies(environment)
        with self.adapter().serializing(request, environments):
            return {"task": task.name, "spec": _base64(self.adapter().spec(task))}

    def do_specs(self, request: Message) -> Message:
        """The specs of all tasks of a deployment, encoded, with their triggers."""
        adapter = self.adapter()
        environments = self.deployed(request)
        _check_version(request)
        specs = []
        with adapter.serializing(request, environments):
            for environment in environments:
                for task in adapter.tasks(environment):
                    spec, triggers = adapter.deployed_spec(task)
                    triggers = [_base64(trigger) for trigger in triggers]
                    specs.append({"task": task.name, "spec": _base64(spec), "triggers": triggers})
        return {"specs": specs}

    def do_apps(self, request: Message) -> Message:
        """The apps of a deployment, encoded."""
        adapter = self.adapter()
        environments = self.deployed(request)
        _check_version(request)
        apps = []
        with adapter.serializing(request, environments):
            for environment in environments:
                if adapter.is_app(environment):
                    app, spec = adapter.app(environment)
                    apps.append({"name": environment.name, "app": _base64(app), "spec": _base64(spec)})
        return {"apps": apps}

    def do_app(self, request: Message) -> Message:
        """One app, encoded."""
        environment = self.app(request)
        _check_version(request)
        with self.adapter().serializing(request, [environment]):
            app, spec = self.adapter().app(environment)
        return {"name": environment.name, "app": _base64(app), "spec": _base64(spec)}

    def do_serve_local(self, request: Message) -> Message:
        """Serves an app on this machine until it ends."""
        from flyte_bridge import serving

        environment = self.app(request)
        with self.printing():
            return serving.serve(self, environment, request.get("env") or {})

    def do_run_local(self, request: Message) -> Message:
        """Runs a task in this process. What it prints is sent line by line."""
        task = self.task(request)
        with self.printing():
            outputs = self.adapter().run_local(task, request.get("values") or {})
        return {"outputs": outputs}

    # ---- parts

    def adapter(self) -> Adapter:
        """The adapter of the installed SDK. Refuses if there is none that the command knows."""
        if self.found is None:
            for mark, module, name in SDKS:
                if _is_there(mark):
                    self.found = getattr(importlib.import_module(module), name)(self)
                    break
            else:
                if not _is_there("flyte"):
                    raise Refused("the package flyte is not installed there", code="sdk_missing")
                version = getattr(importlib.import_module("flyte"), "__version__", "unknown version")
                raise Refused(
                    f"its package flyte ({version}) is not one that this command knows", code="sdk_unknown"
                )
        return self.found

    def described(self, environment: Any) -> Message:
        """An environment for people to choose from."""
        adapter = self.adapter()
        described: Message = {
            "name": environment.name,
            "variables": self.variables(environment),
            "description": environment.description or "",
            "file": adapter.declared_in(environment),
            "depends_on": [one.name for one in environment.depends_on],
            "own": self.is_own(environment),
        }
        if adapter.is_app(environment):
            described["app"] = {"name": environment.name}
        else:
            described["tasks"] = [
                {"name": task.name, "variables": self.variables(task), **adapter.described_task(task)}
                for task in adapter.tasks(environment)
            ]
        return described

    def variables(self, value: Any) -> list[str]:
        """The names by which the imported files know an environment or a task."""
        found = [name for module in self.modules for name, one in vars(module).items() if one is value]
        return list(dict.fromkeys(found))

    def is_own(self, environment: Any) -> bool:
        """Whether an imported file defines the environment, or one of its tasks."""
        own = {_resolved(module.__file__) for module in self.modules}
        adapter = self.adapter()
        files = [adapter.declared_in(environment)]
        files += [adapter.source_of(task) for task in adapter.tasks(environment)]
        return any(file is not None and _resolved(file) in own for file in files)

    def task(self, request: Message) -> Any:
        """The task that a request names, by its name or that of its function."""
        if not self.modules:
            raise Refused("nothing was imported: send describe first", "do")
        name = request.get("task")
        adapter = self.adapter()
        tasks = [task for environment in self.environments for task in adapter.tasks(environment)]
        exact = [task for task in tasks if task.name == name]
        # A later environment replaces an earlier one of the same name.
        if exact:
            return exact[-1]
        found = [task for task in tasks if name == adapter.function_of(task) or name in self.variables(task)]
        if len(found) != 1:
            which = "several tasks have the function" if found else "no task"
            names = ", ".join(task.name for task in tasks) or "none"
            raise Refused(f"{which} {name!r}; there are {names}", "task")
        return found[0]

    def app(self, request: Message) -> Any:
        """The app that a request names."""
        for environment in self.environments:
            if self.adapter().is_app(environment) and environment.name == request.get("app"):
                return environment
        raise Refused(f"unknown app {request.get('app')!r}", "app")

    def deployed(self, request: Message) -> list[Any]:
        """The environments of a deployment, each with those that it depends on, once."""
        if not self.modules:
            raise Refused("nothing was imported: send describe first", "do")
        wanted = request.get("environments")
        found: list[Any] = []
        for environment in self.environments:
            if environment.name in wanted if wanted else request.get("all") or self.is_own(environment):
                found += [
                    one for one in _with_dependencies(environment) if not any(one is other for other in found)
                ]
        names: dict[str, Any] = {}
        for environment in found:
            other = names.setdefault(environment.name, environment)
            if other is environment:
                continue
            file = self.adapter().declared_in(environment)
            if file is not None and file == self.adapter().declared_in(other):
                raise Refused(
                    f"{file} is imported under two names, so the environment {environment.name} is made twice: "
                    "give the directory that the imports start from with --root-dir"
                )
            raise Refused(f"two environments have the name {environment.name}")
        return found

    def upload(self, what: bytes | pathlib.Path, name: str, root: str = "") -> str:
        """Has the command upload a file or directory, and returns its URL. `root` is the path that it is put under."""
        path = what
        if isinstance(path, bytes):
            path = pathlib.Path(tempfile.mkdtemp(prefix="flyte-"), name)
            path.write_bytes(what)
        message = {"path": str(path.absolute()), "name": name, "directory": path.is_dir(), "root": root}
        with self.uploading:
            self.send({"upload": message})
            answer = json.loads(self.requests.readline() or "{}")
        if "uri" not in answer:
            raise Refused(f"{path} cannot be uploaded: {answer.get('error') or 'no answer'}")
        return str(answer["uri"])

    @contextlib.contextmanager
    def printing(self) -> Iterator[None]:
        """Sends what is printed, line by line."""
        before = sys.stdout
        sys.stdout = _Lines(self)  # type: ignore[assignment]
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

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

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


def _is_there(name: str) -> bool:
    """Whether a module can be found. A parent package that is missing is not an error; one that fails to import is."""
    parent = name.rpartition(".")[0]
    return (not parent or _is_there(parent)) and importlib.util.find_spec(name) is not None


def _with_dependencies(environment: Any) -> list[Any]:
    """An environment and all that it depends on, each once."""
    found: list[Any] = []
    waiting = [environment]
    while waiting:
        one = waiting.pop(0)
        if not any(one is other for other in found):
            found.append(one)
            waiting.extend(one.depends_on)
    return found


def _check_version(request: Message) -> None:
    if not request.get("version"):
        raise Refused("version is missing", "version")


def _resolved(file: str) -> pathlib.Path:
    return pathlib.Path(file).resolve()


def _base64(message: bytes) -> str:
    return base64.b64encode(message).decode()

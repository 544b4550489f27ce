"""A task as the control plane keeps it: `flyteidl2.task.TaskSpec` as proto-JSON."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pathlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flyte._cache import Cache, VersionParameters
from flyte._image import Image, uri_of
from flyte._interface import EMPTY, NativeInterface
from flyte._retry import RetryStrategy, retry_strategy
from flyte._secret import secrets_of
from flyte._task import Task
from flyte._timeout import seconds, timeout_of
from flyte.models import CodeBundle
from flyte.types import TypeEngine
from flyte.types._simple import write_duration

# The longest names that the control plane takes.
_LONGEST_NAME = 63
_RESOLVER = "flyte._internal.resolvers.default.DefaultTaskResolver"


@dataclass(frozen=True, kw_only=True)
class Serialization:
    """What a spec says beyond the task itself: whose it is, its version, its code, and the images of the environments."""

    version: str
    project: str = ""
    domain: str = ""
    org: str = ""
    bundle: CodeBundle | None = None
    images: dict[str, str] = field(default_factory=dict)
    root: pathlib.Path = field(default_factory=pathlib.Path.cwd)
    # The import paths of the bundle's code, if not all modules are in its root.
    paths: str = ""


def write_images(images: dict[str, str]) -> str:
    """The images of environments for the command of a task, which hands them to the tasks that it calls."""
    text = json.dumps(
        {"image_lookup": images, "build_run_ids": {}}, separators=(",", ":"), ensure_ascii=False
    )
    buffer = io.BytesIO()
    with gzip.GzipFile(mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(text.encode())
    return base64.b64encode(buffer.getvalue()).decode()


def read_images(text: str | None) -> dict[str, str]:
    """Reads the images. Raises ValueError if the text is not from `write_images`."""
    if not text:
        return {}
    try:
        found = json.loads(gzip.decompress(base64.b64decode(text)))
        return {str(name): str(image) for name, image in found["image_lookup"].items()}
    except (OSError, ValueError, KeyError, AttributeError, EOFError) as error:
        raise ValueError(f"--image-cache cannot be read: {error}") from error


def interface_of(interface: NativeInterface, described: bool = False) -> dict[str, Any]:
    """`flyteidl2.core.TypedInterface`, in the order of the names; with the docstring's descriptions if wanted."""

    def variables(types: dict[str, Any], said: dict[str, str]) -> dict[str, Any]:
        entries = []
        for name in sorted(types):
            value: dict[str, Any] = {"type": TypeEngine.to_literal_type(types[name])}
            if described and said.get(name):
                value["description"] = said[name]
            entries.append({"key": name, "value": value})
        return {"variables": entries} if entries else {}

    return {
        "inputs": variables(interface.input_types, interface.docstring.input_descriptions),
        "outputs": variables(interface.outputs, interface.docstring.output_descriptions),
    }


async def default_inputs(interface: NativeInterface) -> list[dict[str, Any]]:
    """`flyteidl2.task.NamedParameter` for each input with a default.

    Raises TypeTransformerFailedError if a default does not match its input's type.
    """
    found = []
    for name, (python_type, default) in interface.inputs.items():
        if default is EMPTY:
            continue
        literal_type = TypeEngine.to_literal_type(python_type)
        try:
            literal = await TypeEngine.to_literal(default, python_type, literal_type)
        except TypeError as error:
            raise type(error)(f"the default of {name}: {error}") from error
        parameter = {"var": {"type": literal_type}, "default": literal}
        found.append({"name": name, "parameter": parameter})
    return found


def task_version(task: Task[Any, Any], bundle: CodeBundle | None = None) -> str:
    """The version of the task's code: that of its cache, or that of its function."""
    if bundle is not None and bundle.pkl:
        return bundle.computed_version
    cache = task.cache_settings if task.cache_settings.is_enabled() else Cache("auto")
    return cache.get_version(VersionParameters(task.func, task.image))


def image_name(task: Task[Any, Any], images: dict[str, str]) -> str:
    """The image that the task runs in."""
    if task.parent_env_name in images:
        return images[task.parent_env_name]
    return task.image.uri if isinstance(task.image, Image) else uri_of(task.image)


def container_args(task: Task[Any, Any], serialization: Serialization) -> list[str]:
    """The command that runs the task, with placeholders that the control plane fills in."""
    args = ["a0", "--inputs", "{{.input}}", "--outputs-path", "{{.outputPrefix}}"]
    args += ["--version", serialization.version, "--raw-data-path", "{{.rawOutputDataPrefix}}"]
    args += [
        "--checkpoint-path",
        "{{.checkpointOutputPrefix}}",
        "--prev-checkpoint",
        "{{.prevCheckpointPrefix}}",
    ]
    args += [
        "--run-name",
        "{{.runName}}",
        "--name",
        "{{.actionName}}",
        "--run-start-time",
        "{{.runStartTime}}",
    ]
    if serialization.images:
        args += ["--image-cache", write_images(serialization.images)]
    bundle = serialization.bundle
    if bundle is not None:
        args += ["--tgz", bundle.tgz] if bundle.tgz else ["--pkl", bundle.pkl or ""]
        args += ["--dest", bundle.destination or "."]
    if bundle is None or not bundle.pkl:
        from flyte._internal.resolvers.default import DefaultTaskResolver

        args += ["--resolver", _RESOLVER, *DefaultTaskResolver().loader_args(task, serialization.root)]
    return args


def task_spec(task: Task[Any, Any], serialization: Serialization) -> dict[str, Any]:
    """The spec, without what only a deployment says: default inputs and documentation.

    Raises DeploymentError if the task's code cannot be found from the root, TypeTransformerFailedError for a type that cannot
    travel.
    """
    bundle = serialization.bundle
    identifier = {"resourceType": "TASK", "name": task.name, "version": serialization.version}
    for name in ("project", "domain", "org"):
        if getattr(serialization, name):
            identifier[name] = getattr(serialization, name)
    container: dict[str, Any] = {
        "image": image_name(task, serialization.images),
        "args": container_args(task, serialization),
    }
    resources = task.resources.to_wire() if task.resources is not None else None
    if resources:
        container["resources"] = resources
    variables = dict(task.env_vars or {})
    if serialization.paths:
        variables["_F_SYS_PATH"] = serialization.paths
    if variables:
        container["env"] = [{"key": key, "value": value} for key, value in variables.items()]
    template: dict[str, Any] = {
        "id": identifier,
        "type": task.task_type,
        "metadata": _metadata(task, bundle),
        "interface": interface_of(task.interface),
        "container": container,
    }
    if task.task_type_version:
        template["taskTypeVersion"] = task.task_type_version
    security = _security(task)
    if security:
        template["securityContext"] = security
    extended = task.resources.extended_to_wire() if task.resources is not None else None
    if extended:
        template["extendedResources"] = extended
    spec: dict[str, Any] = {"taskTemplate": template, "shortName": task.short_name[:_LONGEST_NAME]}
    if task.parent_env_name:
        spec["environment"] = {"name": task.parent_env_name[:_LONGEST_NAME]}
    return spec


def _metadata(task: Task[Any, Any], bundle: CodeBundle | None) -> dict[str, Any]:
    from flyte import __version__

    cache = task.cache_settings
    found: dict[str, Any] = {
        "runtime": {"type": "FLYTE_SDK", "version": __version__, "flavor": "python"},
        "retries": _retries(retry_strategy(task.retries)),
        "discoveryVersion": task_version(task, bundle),
        "interruptible": task.interruptible,
        "generatesDeck": task.report,
    }
    if cache.is_enabled():
        found["discoverable"] = True
        if cache.ignored_inputs:
            found["cacheIgnoreInputVars"] = list(cache.ignored_inputs)
    if cache.serialize:
        found["cacheSerializable"] = True
    if cache.max_age is not None:
        age = cache.max_age if isinstance(cache.max_age, timedelta) else timedelta(seconds=cache.max_age)
        found["cacheMaxAge"] = write_duration(age)
    timeout = timeout_of(task.timeout)
    runtime = seconds(timeout.max_runtime)
    if runtime:
        found["timeout"] = write_duration(runtime)
    bounds = {"queuedTimeout": seconds(timeout.max_queued_time), "deadline": seconds(timeout.deadline)}
    if any(bounds.values()):
        found["timeouts"] = {name: write_duration(value) for name, value in bounds.items() if value}
    for name, value in (
        ("debuggable", task.debuggable),
        ("isEntrypoint", task.entrypoint),
        ("podTemplateName", task.pod_template),
        ("codeBundleUri", bundle.tgz if bundle is not None else None),
    ):
        if value:
            found[name] = value
    return found


def _retries(strategy: RetryStrategy) -> dict[str, Any]:
    found: dict[str, Any] = {"retries": strategy.count} if strategy.count else {}
    if strategy.backoff is not None:
        backoff = {"base": write_duration(strategy.backoff.base), "factor": strategy.backoff.factor}
        if strategy.backoff.cap is not None:
            backoff["cap"] = write_duration(strategy.backoff.cap)
        found["backoff"] = backoff
    return found


def _security(task: Task[Any, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if task.service_account:
        found["runAs"] = {"k8sServiceAccount": task.service_account}
    secrets = []
    for secret in secrets_of(task.secrets):
        one = {"key": secret.key, "mountRequirement": "ENV_VAR" if secret.as_env_var else "FILE"}
        if secret.group:
            one["group"] = secret.group
        if secret.as_env_var:
            one["envVar"] = secret.as_env_var
        secrets.append(one)
    if secrets:
        found["secrets"] = secrets
    return found or None


async def deployed_spec(task: Task[Any, Any], serialization: Serialization) -> dict[str, Any]:
    """The spec for a deployment, with default inputs and the texts of the docstring and the environment."""
    spec = task_spec(task, serialization)
    defaults = await default_inputs(task.interface)
    if defaults:
        spec["defaultInputs"] = defaults
    spec["taskTemplate"]["interface"] = interface_of(task.interface, described=True)
    short, long = task.interface.docstring.short_description, task.interface.docstring.long_description
    if task.docs is not None:
        short, long = "", getattr(task.docs, "description", task.docs)
    documentation = {"shortDescription": short[:255], "longDescription": long[:2048]}
    spec["documentation"] = {name: text for name, text in documentation.items() if text}
    environment = task.environment
    if environment is not None and environment.description:
        spec["environment"]["description"] = environment.description
    return spec

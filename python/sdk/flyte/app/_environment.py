"""What an app is: its command, its port, and what it needs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flyte._environment import Environment
from flyte._image import uri_of
from flyte._secret import secrets_of
from flyte.types._simple import write_duration

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# What the proxies beside an app listen on.
_RESERVED = {8012, 8022, 8112, 9090, 9091}
_RESOLVER = "flyte._internal.resolvers.app_env.AppEnvResolver"


@dataclass(frozen=True)
class Port:
    """The port that an app listens on. Raises ValueError for one that is taken."""

    port: int
    name: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536 or self.port in _RESERVED:
            taken = ", ".join(map(str, sorted(_RESERVED)))
            raise ValueError(f"port of an app is from 1 to 65535 and none of {taken}, not {self.port}")


@dataclass(frozen=True)
class Scaling:
    """How many copies of an app run: `replicas` is a number, or the fewest and the most; idle ones end `scaledown_after`."""

    replicas: int | tuple[int, int] = (0, 1)
    scaledown_after: int | timedelta | None = None

    def __post_init__(self) -> None:
        fewest, most = self.bounds
        if not 0 <= fewest <= most or most < 1:
            raise ValueError(
                f"replicas of an app are a number, or the fewest and the most, not {self.replicas!r}"
            )

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most."""
        return self.replicas if isinstance(self.replicas, tuple) else (self.replicas, self.replicas)


@dataclass(frozen=True)
class Domain:
    """The address of an app: a name below that of the control plane, or its own domain."""

    subdomain: str | None = None
    custom_domain: str | None = None


@dataclass(frozen=True)
class Link:
    """A page of an app that is worth showing."""

    path: str
    title: str
    is_relative: bool = False


@dataclass(frozen=True)
class Timeouts:
    """How long a request to an app may take."""

    request: int | timedelta | None = None


def _duration(value: int | timedelta | None) -> str | None:
    if value is None:
        return None
    return write_duration(timedelta(seconds=value) if isinstance(value, int) else value)


@dataclass
class AppEnvironment(Environment):
    """An app: the command `args` (or a function decorated with `@env.server`) that listens on `port`, or, where that is taken on the
    machine that it runs on, on the one in the variable `PORT`.

    `command` replaces the whole command line, so the app's machine does not need this package. `requires_auth` says
    whether only those who may read the project reach it.
    """

    type: str | None = None
    port: int | Port = 8080
    args: list[str] | str | None = None
    command: list[str] | str | None = None
    requires_auth: bool = True
    scaling: Scaling = field(default_factory=Scaling)
    domain: Domain | None = field(default_factory=Domain)
    links: list[Link] = field(default_factory=list)
    cluster_pool: str = "default"
    timeouts: Timeouts = field(default_factory=Timeouts)
    _server: Callable[..., Any] | None = field(default=None, init=False, repr=False, compare=False)
    _on_startup: Callable[..., Any] | None = field(default=None, init=False, repr=False, compare=False)
    _on_shutdown: Callable[..., Any] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name of an app has small letters and digits with - between, not {self.name!r}")
        if isinstance(self.port, int):
            self.port = Port(self.port)

    def server(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates the function that serves; it runs until the app is stopped."""
        self._server = function
        return function

    def on_startup(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates a function that is called before the one that serves."""
        self._on_startup = function
        return function

    def on_shutdown(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates a function that is called after the one that serves."""
        self._on_shutdown = function
        return function

    @property
    def listens_on(self) -> int:
        """The port's number."""
        return self.port.port if isinstance(self.port, Port) else self.port

    def container_args(self) -> list[str]:
        """The app's own command line."""
        return shlex.split(self.args) if isinstance(self.args, str) else list(self.args or [])

    def container_command(self, serialization: Any) -> list[str]:
        """What is started: `fserve`, which fetches the code and starts the app; or `command`."""
        from flyte._runtime.spec import write_images

        if self.command is not None:
            return shlex.split(self.command) if isinstance(self.command, str) else list(self.command)
        found = ["fserve", "--version", serialization.version, "--project", serialization.project]
        found += ["--domain", serialization.domain, "--org", serialization.org]
        if serialization.images:
            found += ["--image-cache", write_images(serialization.images)]
        bundle = serialization.bundle
        if bundle is not None:
            found += ["--tgz", bundle.tgz] if bundle.tgz else ["--pkl", bundle.pkl or ""]
            found += ["--dest", bundle.destination or "."]
        found += ["--raw-data-path", "{{.rawOutputDataPrefix}}"]
        from flyte._internal.resolvers.app_env import AppEnvResolver

        named = AppEnvResolver().loader_args(self, serialization.root)
        if named is not None:
            found += ["--resolver", _RESOLVER, "--resolver-args", named]
        return [*found, "--"]

    def to_wire(self, serialization: Any) -> dict[str, Any]:
        """`flyteidl2.app.App`."""
        from flyte import __version__

        identifier = {name: getattr(serialization, name) for name in ("org", "project", "domain")}
        metadata: dict[str, Any] = {"id": {**identifier, "name": self.name}}
        if serialization.bundle is not None and serialization.bundle.tgz:
            metadata["codeBundleUri"] = serialization.bundle.tgz
        port: dict[str, Any] = {"containerPort": self.listens_on}
        if isinstance(self.port, Port) and self.port.name:
            port["name"] = self.port.name
        container: dict[str, Any] = {
            "image": serialization.images.get(self.name) or uri_of(self.image),
            "command": self.container_command(serialization),
            "args": self.container_args(),
            "ports": [port],
        }
        variables = dict(self.env_vars or {})
        if serialization.paths:
            variables["_F_SYS_PATH"] = serialization.paths
        container["env"] = [{"key": key, "value": value} for key, value in variables.items()]
        spec: dict[str, Any] = {
            "container": container,
            "desiredState": "DESIRED_STATE_ACTIVE",
            "clusterPool": self.cluster_pool,
            "ingress": {},
            "runtimeMetadata": {"type": "FLYTE_SDK", "version": __version__, "flavor": "python"},
            "profile": {
                key: value
                for key, value in {"type": self.type, "shortDescription": self.description}.items()
                if value
            },
            "inputs": {},
            "links": [
                {"path": one.path, "title": one.title, "isRelative": one.is_relative} for one in self.links
            ],
        }
        if self.resources is not None:
            resources = self.resources.to_wire()
            if resources:
                container["resources"] = resources
            extended = self.resources.extended_to_wire()
            if extended:
                spec["extendedResources"] = extended
        fewest, most = self.scaling.bounds
        spec["autoscaling"] = {"replicas": {"min": fewest, "max": most}}
        after = _duration(self.scaling.scaledown_after)
        if after:
            spec["autoscaling"]["scaledownPeriod"] = after
        if self.domain is not None:
            names = {"subdomain": self.domain.subdomain, "cname": self.domain.custom_domain}
            spec["ingress"] = {key: value for key, value in names.items() if value}
        request = _duration(self.timeouts.request)
        if request:
            spec["timeouts"] = {"requestTimeout": request}
        security = self._security()
        if security:
            spec["securityContext"] = security
        return {"metadata": metadata, "spec": spec}

    def _security(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not self.requires_auth:
            found["allowAnonymous"] = True
        if self.service_account:
            found["runAs"] = {"k8sServiceAccount": self.service_account}
        secrets = []
        for secret in secrets_of(self.secrets):
            one = {"key": secret.key, "mountRequirement": "ENV_VAR" if secret.as_env_var else "FILE"}
            one |= {"group": secret.group} if secret.group else {}
            one |= {"envVar": secret.as_env_var} if secret.as_env_var else {}
            secrets.append(one)
        if secrets:
            found["secrets"] = secrets
        return found

    async def deploy(self, session: Any, serialization: Any, dryrun: bool = False) -> dict[str, Any]:
        """Creates the app, or has the one of this name be as this one is, and gives it as the control plane has it."""
        from flyte.errors import AlreadyExistsError

        app = self.to_wire(serialization)
        if dryrun:
            return app
        service = "flyteidl2.app.AppService"
        try:
            created = await session.call(f"{service}/Create", {"app": app})
        except AlreadyExistsError:
            identifier = app["metadata"]["id"]
            there = (await session.call(f"{service}/Get", {"appId": identifier})).get("app", {})
            # Name the version that this changes, so that another user's change is not undone.
            app["metadata"]["revision"] = there.get("metadata", {}).get("revision", "0")
            created = await session.call(f"{service}/Update", {"app": app, "reason": "deployed again"})
        return dict(created.get("app", {}))

"""Connects to a control plane: `init` and its variants, and the settings that the rest of the package reads."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte._failure import translated
from flyte._logging import LogFormat, initialize_logger, logger
from flyte._session import Message, Session
from flyte.errors import ConfigurationError, InitializationError
from flyte_auth import _native
from flyte_auth._dual import dual
from flyte_auth._prompt import Prompt, is_interactive

if TYPE_CHECKING:
    from flyte.config import Config

__all__ = [
    "Initialized",
    "current_domain",
    "current_project",
    "init",
    "init_from_api_key",
    "init_from_config",
    "init_in_cluster",
    "init_passthrough",
    "initialized",
    "is_initialized",
    "scope",
    "session",
]


@dataclass(frozen=True, kw_only=True)
class Initialized:
    """The arguments of `init`. Without a session, everything runs locally."""

    session: Session | None = None
    org: str | None = None
    project: str | None = None
    domain: str | None = None
    root_dir: Path = field(default_factory=Path.cwd)
    batch_size: int = 1000
    storage: Any = None
    image_builder: str = "local"
    images: Mapping[str, str] = field(default_factory=dict)
    image_registry: str | None = None
    source_config_path: Path | None = None
    sync_local_sys_paths: bool = True
    local_persistence: bool = False
    local_tracked: bool = False
    local_tracked_strict: bool = False


_lock = threading.Lock()
_state: Initialized | None = None


def initialized() -> Initialized:
    """The arguments of `init`.

    Raises `InitializationError` if `init` was not called yet.
    """
    if _state is None:
        raise InitializationError(
            "NotInitialized",
            "user",
            "flyte is not initialized",
            "Call flyte.init_from_config(), or flyte.init(endpoint=...), first.",
        )
    return _state


def is_initialized() -> bool:
    """Whether `init` or one of its siblings was called."""
    return _state is not None


def session() -> Session:
    """The session with the control plane.

    Raises `InitializationError` if there is none: `init` was not called yet, or without an endpoint.
    """
    state = initialized()
    if state.session is None:
        raise InitializationError(
            "ClientNotInitializedError",
            "user",
            "flyte was initialized without a control plane (local mode)",
            "Call flyte.init(endpoint=...) or flyte.init_from_config().",
        )
    return state.session


def scope(project: str | None = None, domain: str | None = None) -> dict[str, str]:
    """The organization, project and domain that a request is about: those given, else those of `init`.

    Raises `InitializationError` if one of the latter two is not set.
    """
    state = initialized()
    project, domain = project or state.project, domain or state.domain
    for name, value in (("project", project), ("domain", domain)):
        if not value:
            raise InitializationError(
                "MissingScope",
                "user",
                f"no {name} was given, and there is none in the configuration",
                f"Give {name}=..., or set task.{name}: `flyte create config --{name} NAME ...`.",
            )
    return {"org": state.org or "", "project": project or "", "domain": domain or ""}


def current_project() -> str:
    """The project of `init`, or of the task that runs. Raises `InitializationError` if there is none."""
    return scope(domain="-")["project"]


def current_domain() -> str:
    """The domain of `init`, or of the task that runs. Raises `InitializationError` if there is none."""
    return scope(project="-")["domain"]


def _open(
    parameters: Mapping[str, Any],
    *,
    api_key: str | None = None,
    client_secret: str | None = None,
    asked: bool = False,
) -> Session:
    """A session with these parameters. `asked` says that the user asked to sign in and sees the output."""
    given = {name: value for name, value in parameters.items() if value is not None}
    try:
        native = _native.Session(
            json.dumps(given, default=os.fspath),
            api_key=api_key,
            client_secret=client_secret,
            show=Prompt(),
            interactive=asked or is_interactive(),
        )
    except _native.CallError as error:
        raise translated(error, "cannot initialize flyte") from None
    return Session(native)


def _begin(state: Initialized) -> None:
    global _state
    with _lock:
        _state = state


def _first_label(endpoint: str) -> str | None:
    """The organization in an endpoint, as in the names of hosted control planes."""
    host = (
        endpoint.rpartition("://")[2].split("/")[0].rpartition(":")[0]
        or endpoint.rpartition("://")[2].split("/")[0]
    )
    labels = host.rstrip(".").split(".")
    return labels[0] if len(labels) > 2 and not labels[-1].isdigit() else None


def _described(session: Session | None, config: Message, **more: Any) -> Initialized:
    """Combines the arguments of `init` with the configuration."""
    task, image, local = config["task"], config["image"], config["local"]
    settings: dict[str, Any] = {
        "org": task["org"] or _first_label(config["admin"]["endpoint"] or ""),
        "project": task["project"],
        "domain": task["domain"],
        "image_builder": image["builder"] or "local",
        "image_registry": image["registry"],
        "local_persistence": local["persistence"],
        "local_tracked": local["tracked"],
        "local_tracked_strict": local["tracked_strict"],
        "source_config_path": Path(config["source"]) if config["source"] else None,
    }
    settings |= {name: value for name, value in more.items() if value is not None}
    settings["images"] = {**image["image_refs"], **(more.get("images") or {})}
    return Initialized(session=session, **settings)


@dual
async def init(
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    root_dir: str | os.PathLike[str] | None = None,
    log_level: int | None = None,
    log_format: LogFormat | None = None,
    reset_root_logger: bool = False,
    user_log_level: int | None = None,
    endpoint: str | None = None,
    headless: bool = False,
    insecure: bool = False,
    insecure_skip_verify: bool = False,
    ca_cert_file_path: str | os.PathLike[str] | None = None,
    auth_type: str | None = None,
    command: Sequence[str] | None = None,
    proxy_command: Sequence[str] | None = None,
    api_key: str | None = None,
    client_id: str | None = None,
    client_credentials_secret: str | None = None,
    auth_client_config: Any = None,
    rpc_retries: int = 3,
    http_proxy_url: str | None = None,
    disable_keyring: bool = False,
    storage: Any = None,
    batch_size: int = 1000,
    image_builder: str = "local",
    images: Mapping[str, str] | None = None,
    image_registry: str | None = None,
    source_config_path: str | os.PathLike[str] | None = None,
    sync_local_sys_paths: bool = True,
    load_plugin_type_transformers: bool = True,
    local_persistence: bool = False,
    local_tracked: bool = False,
    local_tracked_strict: bool = False,
    scopes: Sequence[str] | None = None,
    token_store: str | None = None,
) -> None:
    """Connects to a control plane, without a configuration file.

    Without `endpoint` and `api_key` there is none: tasks run locally. The network is not touched, with one exception: with
    `headless=True` a person who is not signed in does that now, so that the link appears here.

    Args:
        org, project, domain: The defaults for requests that do not name them.
        root_dir: The directory of the code for runs. By default the working directory.
        log_level, log_format, reset_root_logger, user_log_level: How the package logs (`console` or `json`).
        endpoint: The control plane: `https://host`, `dns:///host` or `host:port`.
        headless: Sign in on another device: a link and a code are shown here.
        insecure: Plain HTTP, and no credentials.
        insecure_skip_verify: Accept any certificate, for a quick try.
        ca_cert_file_path: PEM file of the authorities to trust instead of the system's.
        auth_type: `Pkce` (a person's browser; the default), `DeviceFlow`, `ClientSecret`, `ExternalCommand`, `Passthrough` or
            `TokenExchange`. `client_credentials_secret` implies `ClientSecret`.
        command: What prints the token, for `ExternalCommand`.
        proxy_command: What prints the token for a proxy in front of the control plane.
        api_key: One string that holds endpoint, client and secret.
        client_id, client_credentials_secret: For `ClientSecret`.
        auth_client_config: Anything with `client_id` and `scopes`, which replace those of the server.
        rpc_retries: Taken for compatibility: what could not be reached is tried up to four times, and only calls that read are
            repeated.
        http_proxy_url: Proxy for every request; otherwise `HTTPS_PROXY` and its like.
        disable_keyring: Keep tokens in this process only.
        storage, batch_size, image_builder, images, image_registry, sync_local_sys_paths, local_persistence, local_tracked,
            local_tracked_strict: For runs.
        source_config_path: The source of the parameters, shown with a run.
        load_plugin_type_transformers: Taken for compatibility.
        scopes: Scopes to request instead of those that the server advertises.
        token_store: Where to store a login: `keyring`, `file` (encrypted) or `memory`. By default `FLYTE_TOKEN_STORE`, or else the
            keyring, or the file if there is no keyring.

    Raises:
        InitializationError: A parameter cannot be used.
        AuthenticationError: The API key cannot be used; or, with `headless=True`, the sign-in failed.
    """
    initialize_logger(log_level, log_format, reset_root_logger, user_log_level)
    common: dict[str, Any] = {
        "org": org,
        "project": project,
        "domain": domain,
        "root_dir": Path(root_dir) if root_dir else None,
        "storage": storage,
        "batch_size": batch_size,
        "image_builder": image_builder,
        "images": dict(images or {}),
        "image_registry": image_registry,
        "source_config_path": Path(source_config_path) if source_config_path else None,
        "sync_local_sys_paths": sync_local_sys_paths,
        "local_persistence": local_persistence,
        "local_tracked": local_tracked,
        "local_tracked_strict": local_tracked_strict,
    }
    if not endpoint and not api_key:
        _begin(Initialized(**{name: value for name, value in common.items() if value is not None}))
        return
    if client_credentials_secret and auth_type is None:
        auth_type = "ClientSecret"
    client = _open(
        {
            "endpoint": endpoint,
            "org": org,
            "project": project,
            "domain": domain,
            "headless": headless,
            "insecure": insecure,
            "insecure_skip_verify": insecure_skip_verify,
            "ca_cert_file_path": ca_cert_file_path,
            "auth_type": None if api_key else auth_type,
            "command": list(command) if command else None,
            "proxy_command": list(proxy_command) if proxy_command else None,
            "client_id": client_id or getattr(auth_client_config, "client_id", None),
            "scopes": list(scopes or getattr(auth_client_config, "scopes", None) or []),
            "http_proxy_url": http_proxy_url,
            "disable_keyring": disable_keyring,
            "token_store": token_store,
        },
        api_key=api_key,
        client_secret=client_credentials_secret,
        asked=headless,
    )
    if headless:
        await client.sign_in()
    _begin(_described(client, client.config, **common))


@dual
async def init_from_config(
    path_or_config: str | os.PathLike[str] | Config | None = None,
    root_dir: str | os.PathLike[str] | None = None,
    log_level: int | None = None,
    log_format: LogFormat = "console",
    user_log_level: int | None = None,
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    storage: Any = None,
    batch_size: int = 1000,
    image_builder: str | None = None,
    images: Sequence[str] | Mapping[str, str] | None = None,
    sync_local_sys_paths: bool = True,
    headless: bool = False,
) -> None:
    """Reads the configuration file (`flyte create config` writes one) and talks to the control plane that it names.

    Without a path, the file is searched in the usual places. `FLYTE_API_KEY`, if it is set and no other way to sign in is asked
    for, comes before the file, as for the `flyte` command. Other parameters as in `init`, and they come before the file.
    If no control plane is configured, tasks run locally.

    Raises:
        InitializationError: The file is missing or malformed.
        AuthenticationError: `FLYTE_API_KEY` cannot be used.
    """
    initialize_logger(log_level, log_format, False, user_log_level)
    source = path_or_config
    if source is not None and not isinstance(source, (str, os.PathLike)):
        source = source.source
    named = Path(source).expanduser() if source is not None else None
    if named is not None and root_dir is not None:
        named = Path(root_dir) / named
    if named is not None and not named.exists():
        raise InitializationError(
            "ConfigFileNotFoundError",
            "user",
            f"cannot initialize flyte: the file {named} does not exist",
            "Write one: `flyte create config --endpoint HOST`, or call flyte.init_from_config() to look for it.",
        )
    settings: dict[str, Any] = {
        "org": org,
        "project": project,
        "domain": domain,
        "root_dir": Path(root_dir) if root_dir else None,
        "storage": storage,
        "batch_size": batch_size,
        "image_builder": image_builder,
        "images": _images(images),
        "sync_local_sys_paths": sync_local_sys_paths,
    }
    try:
        client = _open(
            {
                "use_config": True,
                "config": named,
                "environment_key": True,
                "org": org,
                "project": project,
                "domain": domain,
                "headless": headless,
            },
            asked=headless,
        )
    except ConfigurationError as error:
        if error.code != "no_endpoint" or headless:
            raise
        logger.info("%s: tasks run on this machine", error.message)
        config = json.loads(_native.config(None if named is None else str(named)))
        _begin(_described(None, config, **settings))
        return
    if headless:
        await client.sign_in()
    _begin(_described(client, client.config, **settings))


def _images(images: Sequence[str] | Mapping[str, str] | None) -> dict[str, str]:
    """Images by their names; `name=reference` or, for the one that everything uses, a reference alone."""
    if not images:
        return {}
    if isinstance(images, Mapping):
        return dict(images)
    pairs = (image.split("=", 1) if "=" in image else ("auto", image) for image in images)
    return {name: reference for name, reference in pairs}


@dual
async def init_from_api_key(
    api_key: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    root_dir: str | os.PathLike[str] | None = None,
    log_level: int | None = None,
    log_format: LogFormat | None = None,
    storage: Any = None,
    batch_size: int = 1000,
    image_builder: str = "local",
    images: Mapping[str, str] | None = None,
    sync_local_sys_paths: bool = True,
    insecure_skip_verify: bool = False,
    ca_cert_file_path: str | os.PathLike[str] | None = None,
) -> None:
    """Connects to the control plane of an API key. The default key is `FLYTE_API_KEY`.

    Raises:
        InitializationError: The key is missing.
        AuthenticationError: The key cannot be used.
    """
    key = api_key or os.environ.get("FLYTE_API_KEY")
    if not key:
        raise InitializationError(
            "MissingApiKeyError",
            "user",
            "cannot initialize flyte: no API key was given, and FLYTE_API_KEY is not set",
            "Make one: `flyte create api-key NAME`, and export FLYTE_API_KEY as it says.",
        )
    await init.aio(
        api_key=key,
        project=project,
        domain=domain,
        root_dir=root_dir,
        log_level=log_level,
        log_format=log_format,
        storage=storage,
        batch_size=batch_size,
        image_builder=image_builder,
        images=images,
        sync_local_sys_paths=sync_local_sys_paths,
        insecure_skip_verify=insecure_skip_verify,
        ca_cert_file_path=ca_cert_file_path,
    )


def _is_true(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in {"1", "true", "t", "yes", "y", "on"}


@dual
async def init_in_cluster(
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    api_key: str | None = None,
    endpoint: str | None = None,
    insecure: bool = False,
) -> dict[str, Any]:
    """Talks to the control plane from within a task, by what the task's environment says.

    The first of these counts: `api_key`; a configuration file that `UCTL_CONFIG` or `FLYTECTL_CONFIG` names; `FLYTE_AUTH_TYPE`
    and its like; the key in `_UNION_EAGER_API_KEY` or `EAGER_API_KEY`. The user is never asked to sign in.

    Returns:
        How the control plane is reached: `endpoint`, `insecure` and the like; no secret but the given key.
    """
    variable = os.environ.get
    org = org or variable("_U_ORG_NAME") or None
    project = project or variable("FLYTE_INTERNAL_EXECUTION_PROJECT") or None
    domain = domain or variable("FLYTE_INTERNAL_EXECUTION_DOMAIN") or None
    override = endpoint or variable("_U_EP_OVERRIDE") or None
    parameters: dict[str, Any] = {"org": org, "project": project, "domain": domain}
    settings: dict[str, Any] = {}
    file = variable("UCTL_CONFIG") or variable("FLYTECTL_CONFIG")
    if api_key is None and file:
        parameters |= {"use_config": True, "config": file, "endpoint": endpoint}
    else:
        chosen = variable("FLYTE_AUTH_TYPE") or variable("FLYTE_ADMIN_AUTHTYPE")
        if api_key is None and not chosen:
            api_key = variable("_UNION_EAGER_API_KEY") or variable("EAGER_API_KEY") or None
        if api_key is None:
            override = override or variable("FLYTE_ADMIN_ENDPOINT") or "host.docker.internal:8090"
            insecure = insecure or "localhost" in override or "docker" in override or _is_true("_U_INSECURE")
            parameters |= {"environment": True, "endpoint": override}
        else:
            settings["api_key"] = api_key
        parameters |= {
            "insecure": insecure,
            "insecure_skip_verify": _is_true("_U_INSECURE_SKIP_VERIFY"),
            "disable_keyring": True,
        }
    client = _open(parameters, api_key=api_key)
    admin = client.config["admin"]
    settings |= {
        "endpoint": admin["endpoint"],
        "insecure": admin["insecure"],
        "insecure_skip_verify": admin["insecureSkipVerify"],
        "auth_type": admin["authType"],
    }
    _begin(_described(client, client.config, root_dir=Path.cwd()))
    return settings


@dual
async def init_passthrough(
    endpoint: str | None = None,
    org: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    insecure: bool = False,
) -> dict[str, Any]:
    """Connects to a control plane with credentials that the program sets with `flyte.remote.auth_metadata`,
    call by call. The default endpoint is `_U_EP_OVERRIDE`.

    Returns:
        How the control plane is reached.

    Raises:
        InitializationError: The endpoint is missing.
    """
    endpoint = endpoint or os.environ.get("_U_EP_OVERRIDE") or None
    if endpoint is None:
        raise InitializationError(
            "MissingEndpointError",
            "user",
            "cannot initialize flyte: no endpoint was given, and _U_EP_OVERRIDE is not set",
            "Give it: flyte.init_passthrough(endpoint=...).",
        )
    await init.aio(
        endpoint=endpoint,
        org=org or os.environ.get("_U_ORG_NAME") or None,
        project=project or os.environ.get("FLYTE_INTERNAL_EXECUTION_PROJECT") or None,
        domain=domain or os.environ.get("FLYTE_INTERNAL_EXECUTION_DOMAIN") or None,
        insecure=insecure,
        auth_type="Passthrough",
    )
    return {"endpoint": endpoint, "insecure": insecure}

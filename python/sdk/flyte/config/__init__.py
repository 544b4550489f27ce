"""The configuration file that all Flyte tools share, as Python reads it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyte._failure import translated
from flyte_auth import _native

__all__ = ["Config", "ImageConfig", "LocalConfig", "PlatformConfig", "TaskConfig", "auto"]


@dataclass(frozen=True)
class PlatformConfig:
    """The control plane and how to sign in to it. No secret is in it: the file names the place of one."""

    endpoint: str | None = None
    insecure: bool = False
    insecure_skip_verify: bool = False
    ca_cert_file_path: str | None = None
    auth_mode: str | None = None
    command: list[str] = field(default_factory=list)
    proxy_command: list[str] = field(default_factory=list)
    client_id: str | None = None
    scopes: list[str] = field(default_factory=list)
    disable_keyring: bool = False


@dataclass(frozen=True)
class TaskConfig:
    """What requests are about."""

    org: str | None = None
    project: str | None = None
    domain: str | None = None


@dataclass(frozen=True)
class ImageConfig:
    """How images are built."""

    builder: str | None = None
    registry: str | None = None
    image_refs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalConfig:
    """Local runs."""

    persistence: bool = False
    tracked: bool = False
    tracked_strict: bool = False


@dataclass(frozen=True)
class Config:
    """The configuration in effect: environment variables, the file, the defaults, in that order."""

    platform: PlatformConfig = field(default_factory=PlatformConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    local: LocalConfig = field(default_factory=LocalConfig)
    source: Path | None = None

    @classmethod
    def auto(cls, config_file: str | os.PathLike[str] | Config | None = None) -> Config:
        """The configuration of a file, or of the one that is found.

        Raises `flyte.errors.ConfigurationError` where a named file is missing or malformed.
        """
        if isinstance(config_file, Config):
            return config_file
        try:
            text = _native.config(None if config_file is None else os.fspath(config_file))
        except _native.CallError as error:
            raise translated(error, "cannot use the configuration") from None
        values: dict[str, Any] = json.loads(text)
        admin = values["admin"]
        return cls(
            platform=PlatformConfig(
                endpoint=admin["endpoint"],
                insecure=admin["insecure"],
                insecure_skip_verify=admin["insecureSkipVerify"],
                ca_cert_file_path=admin["caCertFilePath"],
                auth_mode=admin["authType"],
                command=admin["command"],
                proxy_command=admin["proxyCommand"],
                client_id=admin["clientId"],
                scopes=admin["scopes"],
                disable_keyring=admin["disableKeyring"],
            ),
            task=TaskConfig(**values["task"]),
            image=ImageConfig(**values["image"]),
            local=LocalConfig(**values["local"]),
            source=Path(values["source"]) if values["source"] else None,
        )


def auto(config_file: str | os.PathLike[str] | Config | None = None) -> Config:
    """The same as `Config.auto`."""
    return Config.auto(config_file)

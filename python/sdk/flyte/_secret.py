"""Secrets that a task needs: they are named here and kept by the control plane."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_MOUNT = pathlib.PurePosixPath("/etc/flyte/secrets")


@dataclass(frozen=True)
class Secret:
    """A secret by its key, given to the task in an environment variable: `as_env_var`, or the key in capitals with `_` for `-`.

    Raises ValueError if this is not a valid name of a variable, or `mount` is not /etc/flyte/secrets.
    """

    key: str
    group: str | None = None
    mount: pathlib.Path | None = None
    as_env_var: str | None = None

    def __post_init__(self) -> None:
        if self.mount is not None and pathlib.PurePosixPath(self.mount) != _MOUNT:
            raise ValueError(f"secrets are mounted at {_MOUNT}, not at {self.mount}")
        if self.mount is None and self.as_env_var is None:
            name = f"{self.group}_{self.key}" if self.group else self.key
            object.__setattr__(self, "as_env_var", name.replace("-", "_").upper())
        if self.as_env_var is not None and not _VARIABLE.fullmatch(self.as_env_var):
            raise ValueError(
                f"{self.as_env_var!r} is not a valid name of an environment variable (only capitals, digits and _): set as_env_var"
            )


SecretRequest = Union[str, Secret, Sequence[Union[str, Secret]]]  # noqa: UP007


def secrets_of(request: SecretRequest | None) -> list[Secret]:
    """The secrets that an environment's `secrets` names."""
    if request is None:
        return []
    if isinstance(request, (str, Secret)):
        request = [request]
    return [Secret(one) if isinstance(one, str) else one for one in request]

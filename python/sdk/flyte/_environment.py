"""What tasks and apps run in."""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import dataclass, field, fields
from typing import Any

from flyte._image import Image
from flyte._resources import Resources
from flyte._secret import Secret, SecretRequest, secrets_of

_NAME = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_HERE = os.path.dirname(os.path.realpath(__file__))

# Every environment of this process, in the order in which they were made.
_made: list[Environment] = []


def environments() -> list[Environment]:
    """The environments that were made so far, in order."""
    return list(_made)


@dataclass
class Environment:
    """What several tasks, or an app, have in common: image, resources, variables, secrets, and the environments that they need.

    `name` is in small letters and digits with `_` or `-` between. Raises ValueError or TypeError naming the field that is wrong.
    """

    name: str
    depends_on: list[Environment] = field(default_factory=list)
    description: str | None = None
    secrets: SecretRequest | None = None
    env_vars: dict[str, str] | None = None
    resources: Resources | None = None
    interruptible: bool = False
    image: str | Image | None = "auto"
    include: tuple[str, ...] = ()
    service_account: str | None = None
    pod_template: str | None = None
    # The file that it was made in, which relative paths in `include` start from.
    declared_in: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name of an environment has small letters and digits with _ or - between, not {self.name!r}"
            )
        kinds: dict[str, tuple[type, ...]] = {
            "image": (str, Image),
            "env_vars": (dict,),
            "resources": (Resources,),
            "secrets": (str, Secret, list, tuple),
            "service_account": (str,),
            "pod_template": (str,),
            "description": (str,),
        }
        for name, allowed in kinds.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, allowed):
                names = " or ".join(kind.__name__ for kind in allowed)
                raise TypeError(f"{name} of the environment {self.name} is of type {names}, not {value!r}")
        secrets_of(self.secrets)
        for key, value in (self.env_vars or {}).items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"env_vars of the environment {self.name} are texts, not {key!r}: {value!r}")
        for other in self.depends_on:
            if not isinstance(other, Environment):
                raise TypeError(f"depends_on of the environment {self.name} has environments, not {other!r}")
        if isinstance(self.include, str):
            raise TypeError(
                f"include of the environment {self.name} is a list of paths, not {self.include!r}"
            )
        self.include = tuple(self.include)
        if self.description is not None and len(self.description) > 255:
            self.description = self.description[:252] + "..."
        self.declared_in = _declaring_file()
        _made.append(self)

    def add_dependency(self, *env: Environment) -> None:
        """Other environments are deployed with this one from now on. Raises ValueError for this one itself."""
        for one in env:
            if one is self or one.name == self.name:
                raise ValueError(f"the environment {self.name} cannot depend on itself")
            if one not in self.depends_on:
                self.depends_on.append(one)

    def clone_with(self, name: str, **changes: Any) -> Any:
        """A copy under another name, with changes. Raises TypeError for a field that there is not."""
        taken = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        unknown = sorted(set(changes) - set(taken))
        if unknown:
            raise TypeError(f"an environment has no {', '.join(unknown)}")
        return type(self)(**{**taken, **changes, "name": name})

    def with_dependencies(self) -> list[Environment]:
        """This environment and all that it needs, each once."""
        found: list[Environment] = []
        waiting: list[Environment] = [self]
        while waiting:
            one = waiting.pop(0)
            if one not in found:
                found.append(one)
                waiting.extend(one.depends_on)
        return found


def _declaring_file() -> str | None:
    """The first file on the way here that is not of this package."""
    frame = inspect.currentframe()
    while frame is not None:
        file = os.path.realpath(frame.f_code.co_filename)
        # `<string>` is what dataclasses call the code that they make.
        if not frame.f_code.co_filename.startswith("<") and not file.startswith(_HERE + os.sep):
            return file
        frame = frame.f_back
    return None

"""Whether a task's results are kept for later runs with the same inputs."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol, Union

CacheBehavior = Literal["auto", "override", "disable"]
_ALIASES: dict[str, CacheBehavior] = {
    **dict.fromkeys(("enable", "enabled", "on", "true", "yes"), "auto"),
    **dict.fromkeys(("off", "false", "no", "none"), "disable"),
}


@dataclass(frozen=True)
class VersionParameters:
    """What a policy makes a version of."""

    func: Callable[..., Any] | None
    image: Any = None


class CachePolicy(Protocol):
    """Says when a task has changed: by a version that is another one then."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """The version."""


class FunctionBodyPolicy:
    """A task has changed when its function has: not by comments and spaces, and not by what it calls."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """The hash of the function's syntax tree. Raises OSError if its source is not known."""
        if params.func is None:
            return ""
        tree = ast.parse(textwrap.dedent(inspect.getsource(params.func)))
        return hashlib.sha256(ast.dump(tree, include_attributes=False).encode() + salt.encode()).hexdigest()


@dataclass
class Cache:
    """How results are kept.

    `behavior` is `auto` (a task's version is made by `policies`), `override` (it is `version_override`) or `disable`. Inputs named
    in `ignored_inputs` may differ. With `serialize`, runs with the same inputs at the same time wait for one of them. Results
    older than `max_age` are not taken.

    Raises ValueError for another behavior, or a negative age.
    """

    behavior: CacheBehavior | str
    version_override: str | None = None
    serialize: bool = False
    ignored_inputs: tuple[str, ...] | str = ()
    salt: str = ""
    policies: Sequence[CachePolicy] | CachePolicy | None = None
    max_age: timedelta | int | None = None

    def __post_init__(self) -> None:
        self.behavior = _ALIASES.get(str(self.behavior).lower(), self.behavior)
        if self.behavior not in ("auto", "override", "disable"):
            raise ValueError(f"a cache's behavior is auto, override or disable, not {self.behavior!r}")
        if isinstance(self.ignored_inputs, str):
            self.ignored_inputs = (self.ignored_inputs,)
        if isinstance(self.max_age, int):
            self.max_age = timedelta(seconds=self.max_age)
        if self.max_age is not None and self.max_age < timedelta(0):
            raise ValueError("max_age of a cache is not negative")

    def is_enabled(self) -> bool:
        """Whether results are kept."""
        return self.behavior != "disable"

    def get_version(self, params: VersionParameters) -> str:
        """The version of a task's code. Raises OSError if a policy needs the function's source, and that is not known."""
        if self.version_override is not None:
            return self.version_override
        policies: Sequence[CachePolicy]
        if self.policies is None:
            policies = [FunctionBodyPolicy()]
        else:
            policies = self.policies if isinstance(self.policies, Sequence) else [self.policies]
        together = "".join(policy.get_version(self.salt, params) for policy in policies)
        return hashlib.sha256(together.encode()).hexdigest()


CacheRequest = Union[CacheBehavior, str, Cache]  # noqa: UP007


def cache_of(request: CacheRequest) -> Cache:
    """The cache that a task's `cache` names."""
    return request if isinstance(request, Cache) else Cache(request)

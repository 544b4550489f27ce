"""What the bridge needs of an SDK. There is one adapter for each SDK; it alone knows the internals."""

from __future__ import annotations

import abc
import contextlib
import pathlib
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flyte_bridge.protocol import Bridge, Message


class Adapter(abc.ABC):
    """Answers about environments and tasks of one SDK."""

    # The name of the SDK in the protocol.
    name: str
    version: str
    # What this SDK can do; docs/reference/bridge.md lists the words.
    capabilities: frozenset[str]

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def prepare(self, request: Message) -> None:  # noqa: B027 (most SDKs need no preparation)
        """Called before the first file is imported, with the request `describe`."""

    @abc.abstractmethod
    def load(self, file: str, root: pathlib.Path) -> ModuleType:
        """Imports a file below `root`. Raises NotImportable."""

    @abc.abstractmethod
    def environments(self) -> list[Any]:
        """All environments of this process, in the order in which they were made."""

    @abc.abstractmethod
    def is_app(self, environment: Any) -> bool:
        """Whether an environment is an app."""

    @abc.abstractmethod
    def declared_in(self, environment: Any) -> str | None:
        """The file that made an environment."""

    @abc.abstractmethod
    def tasks(self, environment: Any) -> list[Any]:
        """The tasks of an environment."""

    @abc.abstractmethod
    def environment_of(self, task: Any) -> Any | None:
        """The environment of a task."""

    @abc.abstractmethod
    def source_of(self, task: Any) -> str | None:
        """The file that defines a task."""

    @abc.abstractmethod
    def function_of(self, task: Any) -> str:
        """The name of a task's function; empty if it has none."""

    @abc.abstractmethod
    def described_task(self, task: Any) -> Message:
        """A task's function, short name, docs, inputs and outputs, as `describe` answers."""

    @abc.abstractmethod
    def inputs(self, task: Any, values: Message, context: dict[str, str]) -> bytes:
        """A `flyteidl2.task.Inputs` from texts. Uploads files."""

    @abc.abstractmethod
    def included(self, root: pathlib.Path, environments: Sequence[Any]) -> list[str]:
        """The files that environments include in the bundle, as paths below `root`."""

    @abc.abstractmethod
    def serializing(
        self, request: Message, environments: Sequence[Any]
    ) -> contextlib.AbstractContextManager[None]:
        """What the request says about versions, code and images holds for specs that are made within this context."""

    @abc.abstractmethod
    def spec(self, task: Any) -> bytes:
        """A `flyteidl2.task.TaskSpec` for a run."""

    @abc.abstractmethod
    def deployed_spec(self, task: Any) -> tuple[bytes, list[bytes]]:
        """A `flyteidl2.task.TaskSpec` for a deployment, and its `TaskTrigger`s."""

    @abc.abstractmethod
    def app(self, environment: Any) -> tuple[bytes, bytes]:
        """A `flyteidl2.app.App` and its `Spec`."""

    @abc.abstractmethod
    def port_of(self, environment: Any) -> int:
        """The port that an app listens on."""

    @abc.abstractmethod
    def serve_locally(self, environment: Any) -> int:
        """Serves an app on this machine until it ends, and returns its exit code. An interrupt stops the app."""

    @abc.abstractmethod
    def run_local(self, task: Any, values: Message) -> Message:
        """Runs a task in this process, and returns its outputs as JSON by their names."""

    def failure(self, error: BaseException) -> Message | None:
        """An error of this SDK as an answer has it."""
        return None

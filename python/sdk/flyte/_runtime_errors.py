"""How tasks fail. `flyte.errors` has these names."""

from __future__ import annotations

from typing import Any, Literal

ErrorKind = Literal["system", "unknown", "user"]


class BaseRuntimeError(RuntimeError):
    """A task failed. `code` says in one word how, `kind` whose fault it is."""

    def __init__(
        self, code: str, kind: ErrorKind, root_cause_message: str, worker: str | None = None
    ) -> None:
        super().__init__(root_cause_message)
        self.code = code
        self.kind = kind
        self.worker = worker

    def _raise(self, *_: Any) -> Any:
        """An error from `flyte.map(..., return_exceptions=True)` is raised when it is used as a value."""
        raise self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _raise


class RuntimeSystemError(BaseRuntimeError):
    """Not the task's fault: the control plane, the machine or the network."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "system", message, worker)


class RuntimeUserError(BaseRuntimeError):
    """The task's own fault."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "user", message, worker)


class RuntimeUnknownError(BaseRuntimeError):
    """The cause is unknown."""

    def __init__(self, code: str, message: str, worker: str | None = None) -> None:
        super().__init__(code, "unknown", message, worker)


class NonRecoverableError(RuntimeUserError):
    """Raised by a task to say that trying again does not help: its retries are not used."""

    def __init__(self, message: str, code: str = "NonRecoverableError") -> None:
        super().__init__(code, message)


class CustomError(RuntimeUserError):
    """An exception that a task raised: `code` is its class, `__cause__` itself."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)

    @classmethod
    def from_exception(cls, error: Exception) -> CustomError:
        """The error for an exception."""
        made = cls(type(error).__name__, str(error))
        made.__cause__ = error
        return made


class OOMError(RuntimeUserError):
    """The task used more memory than it may."""


class TaskInterruptedError(RuntimeUserError):
    """The machine was taken away."""


class RetriesExhaustedError(RuntimeUserError):
    """The task failed as often as it may."""


class InvalidImageNameError(RuntimeUserError):
    """The image's name is none."""


class ImagePullBackOffError(RuntimeUserError):
    """The image cannot be fetched."""


class TaskTimeoutError(RuntimeUserError):
    """The task took longer than it may."""

    def __init__(self, message: str, code: str = "TaskTimeoutError") -> None:
        super().__init__(code, message)


class MaxQueuedTimeExceededError(TaskTimeoutError):
    """The task waited longer than `Timeout.max_queued_time`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "MaxQueuedTimeExceededError")


class MaxRuntimeExceededError(TaskTimeoutError):
    """The task ran longer than `Timeout.max_runtime`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "MaxRuntimeExceededError")


class DeadlineExceededError(TaskTimeoutError):
    """The task was not done within `Timeout.deadline`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "DeadlineExceededError")


class RuntimeDataValidationError(RuntimeUserError):
    """An input or output is not of its type."""

    def __init__(self, var: str, e: Exception | str, task_name: str = "") -> None:
        super().__init__("DataValidationError", f"{var} of {task_name or 'the task'}: {e}")


class DeploymentError(RuntimeUserError):
    """A task cannot be deployed."""

    def __init__(self, message: str) -> None:
        super().__init__("DeploymentError", message)


class ModuleLoadError(RuntimeUserError):
    """A file with tasks cannot be imported."""

    def __init__(self, message: str) -> None:
        super().__init__("ModuleLoadError", message)


class InlineIOMaxBytesBreached(RuntimeUserError):
    """Inputs or outputs are larger than a task's `max_inline_io_bytes`; hand on a `flyte.io.File` instead."""

    def __init__(self, message: str) -> None:
        super().__init__("InlineIOMaxBytesBreached", message)


class ActionAbortedError(RuntimeUserError):
    """A task was aborted."""

    def __init__(self, message: str) -> None:
        super().__init__("ActionAbortedError", message)

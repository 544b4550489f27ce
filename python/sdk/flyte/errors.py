"""The errors of this package. Each says what happened, why, and what to do next."""

from __future__ import annotations

# How tasks fail.
from flyte._runtime_errors import (
    ActionAbortedError as ActionAbortedError,
)
from flyte._runtime_errors import (
    BaseRuntimeError as BaseRuntimeError,
)
from flyte._runtime_errors import (
    CustomError as CustomError,
)
from flyte._runtime_errors import (
    DeadlineExceededError as DeadlineExceededError,
)
from flyte._runtime_errors import (
    DeploymentError as DeploymentError,
)
from flyte._runtime_errors import (
    ImagePullBackOffError as ImagePullBackOffError,
)
from flyte._runtime_errors import (
    InlineIOMaxBytesBreached as InlineIOMaxBytesBreached,
)
from flyte._runtime_errors import (
    InvalidImageNameError as InvalidImageNameError,
)
from flyte._runtime_errors import (
    MaxQueuedTimeExceededError as MaxQueuedTimeExceededError,
)
from flyte._runtime_errors import (
    MaxRuntimeExceededError as MaxRuntimeExceededError,
)
from flyte._runtime_errors import (
    ModuleLoadError as ModuleLoadError,
)
from flyte._runtime_errors import (
    NonRecoverableError as NonRecoverableError,
)
from flyte._runtime_errors import (
    OOMError as OOMError,
)
from flyte._runtime_errors import (
    RetriesExhaustedError as RetriesExhaustedError,
)
from flyte._runtime_errors import (
    RuntimeDataValidationError as RuntimeDataValidationError,
)
from flyte._runtime_errors import (
    RuntimeSystemError as RuntimeSystemError,
)
from flyte._runtime_errors import (
    RuntimeUnknownError as RuntimeUnknownError,
)
from flyte._runtime_errors import (
    RuntimeUserError as RuntimeUserError,
)
from flyte._runtime_errors import (
    TaskInterruptedError as TaskInterruptedError,
)
from flyte._runtime_errors import (
    TaskTimeoutError as TaskTimeoutError,
)


class FlyteError(Exception):
    """The root of all errors of this package.

    `message` says what happened and why, `hint` what to do next (may be empty), `code` distinguishes errors of one
    class apart. No part of it ever holds a secret.
    """

    # Whether it may go away by itself, for a control plane that has answered before.
    _temporary = False

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint, code)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


class InitializationError(FlyteError):
    """`flyte.init` was not called, or its arguments do not work."""

    def __init__(self, code: str, kind: str = "user", message: str = "", hint: str = "") -> None:
        super().__init__(message, hint, code)
        self.kind = kind
        self.args = (code, kind, message, hint)


class ConfigurationError(InitializationError):
    """The configuration, or what it leads to, cannot be used."""


class AuthenticationError(FlyteError):
    """The control plane does not know who is calling, or does not let them in."""


class LoginRequiredError(AuthenticationError):
    """A sign-in is needed, but no user can be asked."""


class CallError(FlyteError):
    """A call reached the control plane, which did not do what was asked; or it did not reach it."""


class NotFoundError(CallError):
    """The resource does not exist."""


class RemoteTaskNotFoundError(NotFoundError):
    """No such task, or no such version of it, was deployed."""


class AlreadyExistsError(CallError):
    """There is one already."""


class InvalidArgumentError(CallError, ValueError):
    """The control plane does not take what was sent."""


class PermissionDeniedError(CallError):
    """The caller is known and may not do this."""


class UnavailableError(CallError, ConnectionError):
    """The control plane does not answer, or not in time."""


class UnsupportedError(CallError):
    """The control plane does not know the call."""


class ServerError(CallError):
    """The control plane failed."""


class RunFailedError(FlyteError):
    """A run did not end well; `code` is the class of its error, or its phase."""

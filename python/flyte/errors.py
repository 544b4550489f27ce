"""What can go wrong. Each error says what happened, why, and, where there is something to do, the next command."""

from __future__ import annotations

# How tasks fail.
from flyte._runtime_errors import (
    ActionAbortedError as ActionAbortedError,
    BaseRuntimeError as BaseRuntimeError,
    CustomError as CustomError,
    DeadlineExceededError as DeadlineExceededError,
    DeploymentError as DeploymentError,
    ImagePullBackOffError as ImagePullBackOffError,
    InlineIOMaxBytesBreached as InlineIOMaxBytesBreached,
    InvalidImageNameError as InvalidImageNameError,
    MaxQueuedTimeExceededError as MaxQueuedTimeExceededError,
    MaxRuntimeExceededError as MaxRuntimeExceededError,
    ModuleLoadError as ModuleLoadError,
    NonRecoverableError as NonRecoverableError,
    OOMError as OOMError,
    RetriesExhaustedError as RetriesExhaustedError,
    RuntimeDataValidationError as RuntimeDataValidationError,
    RuntimeSystemError as RuntimeSystemError,
    RuntimeUnknownError as RuntimeUnknownError,
    RuntimeUserError as RuntimeUserError,
    TaskInterruptedError as TaskInterruptedError,
    TaskTimeoutError as TaskTimeoutError,
)


class FlyteError(Exception):
    """The root of all errors of this package.

    `message` says what happened and why, `hint` what to do next (empty where there is nothing), `code` tells errors of one
    class apart. No part of it ever holds a secret.
    """

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint, code)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


class InitializationError(FlyteError):
    """`flyte.init` was given something that does not work, or was not called where it is needed."""

    def __init__(self, code: str, kind: str = "user", message: str = "", hint: str = "") -> None:
        super().__init__(message, hint, code)
        self.kind = kind
        self.args = (code, kind, message, hint)


class ConfigurationError(InitializationError):
    """The configuration, or what it leads to, cannot be used."""


class AuthenticationError(FlyteError):
    """The control plane does not know who is calling, or does not let them in."""


class LoginRequiredError(AuthenticationError):
    """A person has to sign in, and nobody is there to ask."""


class CallError(FlyteError):
    """A call reached the control plane, which did not do what was asked; or it did not reach it."""


class NotFoundError(CallError):
    """There is no such thing."""


class RemoteTaskNotFoundError(NotFoundError):
    """No such task, or no such version of it, was deployed."""


class AlreadyExistsError(CallError):
    """There is one already."""


class InvalidArgumentError(CallError, ValueError):
    """The control plane does not take what was sent."""


class PermissionDeniedError(CallError):
    """The caller is known and may not do this."""


class UnavailableError(CallError, ConnectionError):
    """Nobody answers, or not in time."""


class UnsupportedError(CallError):
    """The control plane does not know the call."""


class ServerError(CallError):
    """The control plane failed."""


class RunFailedError(FlyteError):
    """A run did not end well; `code` is the class of its error, or its phase."""

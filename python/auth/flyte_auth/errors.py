"""The errors of this package. Each says what happened, why, and what to do next. None contains a secret."""

from __future__ import annotations


class FlyteAuthError(Exception):
    """The root of all errors of this package.

    `message` says what happened and why, `hint` what to do next (may be empty), and `code` distinguishes errors of one class.
    """

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint, code)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


class ConfigurationError(FlyteAuthError, ValueError):
    """An argument or the configuration cannot be used."""


class AuthenticationError(FlyteAuthError):
    """The control plane, or its authorization server, rejected the caller."""


class LoginRequiredError(AuthenticationError):
    """A user must sign in, but no user can be asked."""


class UnavailableError(FlyteAuthError, ConnectionError):
    """A server cannot be reached, or does not answer in time."""


_CLASSES: dict[str, type[FlyteAuthError]] = {
    "approval": ConfigurationError,
    "configuration": ConfigurationError,
    "invalid_argument": ConfigurationError,
    "login": LoginRequiredError,
    "no_endpoint": ConfigurationError,
    "permission_denied": AuthenticationError,
    "unauthenticated": AuthenticationError,
    "unavailable": UnavailableError,
}


def translated(error: Exception, what: str) -> FlyteAuthError:
    """The public form of a `CallError` of the native half. `what` says what failed."""
    from flyte_auth import _native

    code, message, hint, _ = error.args
    # This package brings the command under this name.
    message, hint = (_native.name_command(text, "flyte-auth") for text in (message, hint))
    return _CLASSES.get(code, FlyteAuthError)(f"{what}: {message}", hint, code)

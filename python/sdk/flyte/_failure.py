"""Translates the native module's failures to the errors of `flyte.errors`. No other module does this."""

from __future__ import annotations

from flyte import errors
from flyte_auth._native import CallError

_CLASSES: dict[str, type[errors.FlyteError]] = {
    "already_exists": errors.AlreadyExistsError,
    "invalid_argument": errors.InvalidArgumentError,
    "login": errors.LoginRequiredError,
    "not_found": errors.NotFoundError,
    "permission_denied": errors.PermissionDeniedError,
    "unauthenticated": errors.AuthenticationError,
    "unavailable": errors.UnavailableError,
    "unimplemented": errors.UnsupportedError,
}
_OF_THE_CONFIGURATION = frozenset({"approval", "configuration", "no_endpoint"})


def translated(error: CallError, what: str = "") -> errors.FlyteError:
    """The error that users see. `what` says what failed, for example "cannot list projects"."""
    code, why, hint, temporary = error.args
    message = f"{what}: {why}" if what else why
    found: errors.FlyteError
    if code in _OF_THE_CONFIGURATION:
        found = errors.ConfigurationError(code, "user", message, hint)
    else:
        found = _CLASSES.get(code, errors.ServerError)(message, hint, code)
    found._temporary = temporary
    return found

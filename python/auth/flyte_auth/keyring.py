"""A backend of the package `keyring` for machines without a keyring: passwords in encrypted files.

`keyring` finds it by its entry point. It comes after every real keyring and before plain text. The tokens of a control plane are the
login that the `flyte-auth` command uses if there is no keyring.
"""

from __future__ import annotations

from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, PasswordDeleteError, PasswordSetError


class EncryptedFileKeyring(KeyringBackend):
    """Passwords in files that only their owner can read, encrypted with AES-256-GCM. The key is in another directory."""

    # Real keyrings have 1 or more; those below 1 are never part of a chain of keyrings. Plain text has 0.5, none at all 0.
    # It is a constant, because looking for other keyrings here would delay every program that imports `keyring`.
    priority = 0.9

    def get_password(self, service: str, username: str) -> str | None:
        """Reads a password; None if there is none. Raises `KeyringError`."""
        from flyte_auth import _native

        try:
            return _native.get_password(service, username)
        except _native.CallError as error:
            raise KeyringError(error.args[1]) from None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Writes a password. Raises `PasswordSetError`."""
        from flyte_auth import _native

        try:
            _native.set_password(service, username, password)
        except _native.CallError as error:
            raise PasswordSetError(error.args[1]) from None

    def delete_password(self, service: str, username: str) -> None:
        """Removes a password. Raises `PasswordDeleteError`, also if there is none."""
        from flyte_auth import _native

        try:
            removed = _native.remove_password(service, username)
        except _native.CallError as error:
            raise PasswordDeleteError(error.args[1]) from None
        if not removed:
            raise PasswordDeleteError("there is no such password")

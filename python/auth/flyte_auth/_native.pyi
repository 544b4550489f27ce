"""The native half; see python/auth/src. Requests and answers are proto-JSON: 64-bit integers are text, bytes are base64."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import final

__all__ = [
    "CallError",
    "Session",
    "Stream",
    "__version__",
    "config",
    "decode",
    "decode_api_key",
    "encode",
    "get_password",
    "name_command",
    "pack",
    "qr",
    "remove_password",
    "set_password",
]

__version__: str

class CallError(Exception):
    """Its `args` are a code, what happened and why, what to do next (may be empty), and whether it may go away by itself."""

    args: tuple[str, str, str, bool]

def encode(message: str, json: str | bytes) -> bytes:
    """Encodes a message, named in full, that is given as proto-JSON. Raises `ValueError`."""

def decode(message: str, data: bytes) -> str:
    """Decodes a message into proto-JSON. Raises `ValueError`."""

def config(path: str | None = None) -> str:
    """The configuration in effect, as JSON. Raises `CallError`."""

def decode_api_key(text: str) -> tuple[str, str, str, str | None]:
    """The endpoint (host, and port if it is not 443), the client, its secret and the organization. Raises `CallError`."""

def name_command(text: str, command: str) -> str:
    """The text with this name of the command in place of `flyte`."""

def get_password(service: str, user: str) -> str | None:
    """Reads a password from the encrypted files. Raises `CallError`."""

def set_password(service: str, user: str, password: str) -> None:
    """Writes a password to the encrypted files. Raises `CallError`."""

def remove_password(service: str, user: str) -> bool:
    """Removes a password, and returns whether there was one. Raises `CallError`."""

def pack(root: str, all: bool, named: list[str]) -> tuple[bytes, str, list[str], list[str]]:
    """Packs files below `root`: those named, and with `all` those that are not ignored. Returns the archive, its version, the paths of its
    files, and the paths that were left out as secrets or as links out of `root`. Raises `CallError`."""

def qr(text: str) -> list[str]:
    """A QR code: rows of `1` (dark) and `0`, without the light margin. Raises `ValueError` where the text is too long."""

@final
class Session:
    """The login of one control plane, and calls to it. Making one touches neither the network nor the keyring.

    The blocking methods let other threads run and end at Ctrl-C. All of it works again in a forked child.
    """

    def __new__(
        cls,
        parameters: str,
        *,
        api_key: str | None = None,
        client_secret: str | None = None,
        show: Callable[[str], object] | None = None,
        interactive: bool = False,
    ) -> Session: ...
    def config(self) -> str: ...
    def call(self, method: str, request: str = "{}", headers: list[tuple[str, str]] | None = None) -> str: ...
    def call_async(
        self, method: str, request: str = "{}", headers: list[tuple[str, str]] | None = None
    ) -> Awaitable[str]: ...
    def stream(
        self, method: str, request: str = "{}", headers: list[tuple[str, str]] | None = None
    ) -> Stream: ...
    def sign_in(self) -> None: ...
    def sign_in_async(self) -> Awaitable[None]: ...
    def authorization(self) -> tuple[str, str, int | None] | None: ...
    def authorization_async(self) -> Awaitable[tuple[str, str, int | None] | None]: ...
    def reject(self, token: str) -> None: ...
    def login(self) -> None: ...
    def login_async(self) -> Awaitable[None]: ...
    def logout(self) -> str: ...
    def logout_async(self) -> Awaitable[str]: ...
    def status(self) -> str: ...
    def status_async(self) -> Awaitable[str]: ...
    def api_key(self, client_id: str, client_secret: str) -> str: ...

@final
class Stream(Iterator[str], AsyncIterator[str]):
    """Answers of one call, as they arrive; an iterator in both ways."""

    def __iter__(self) -> Stream: ...
    def __next__(self) -> str: ...
    def __aiter__(self) -> Stream: ...
    def __anext__(self) -> Awaitable[str]: ...
    def close(self) -> None: ...

"""Messages between proto-JSON dictionaries and bytes."""

from __future__ import annotations

import json
from typing import Any


def encode(message: str, value: dict[str, Any]) -> bytes:
    """The bytes of a message, named in full. Raises ValueError naming what does not fit."""
    from flyte_auth import _native

    return _native.encode(message, json.dumps(value))


def decode(message: str, data: bytes) -> dict[str, Any]:
    """The message in the bytes. Raises ValueError if they are invalid."""
    from flyte_auth import _native

    found: dict[str, Any] = json.loads(_native.decode(message, data))
    return found

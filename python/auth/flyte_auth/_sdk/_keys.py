"""API keys of servers on any port: the SDK reads only those of port 443."""

from __future__ import annotations

import functools
from typing import Any

from flyte_auth import _native

_MARK = "_flyte_auth"

# The organizations that the SDK misread, with the right ones.
_corrections: dict[str, str | None] = {}


def parts(text: str) -> tuple[str, str, str, str] | None:
    """The parts of an API key as the SDK wants them; None if it cannot be read."""
    try:
        endpoint, client_id, client_secret, org = _native.decode_api_key(text)
    except _native.CallError:
        return None
    return endpoint, client_id, client_secret, org or "None"


def replace_decoder() -> None:
    """Makes the SDK read API keys with this package."""
    from flyte.remote._client.auth import _auth_utils  # type: ignore[import-not-found,unused-ignore]

    original = _auth_utils.decode_api_key
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def decode_api_key(encoded_str: str) -> tuple[str, str, str, str]:
        found = parts(encoded_str)
        if found is not None:
            return found
        # It has the SDK's own error.
        result: tuple[str, str, str, str] = original(encoded_str)
        return result

    setattr(decode_api_key, _MARK, original)
    _auth_utils.decode_api_key = decode_api_key


def correct_organization(initialize: Any, api_key: str | None) -> None:
    """Keeps a misread part of the key out of the organization of `flyte.init`.

    `flyte.init_from_api_key` reads the key before it calls `flyte.init`, and therefore before this package is loaded. If the key names a
    port, the organization that it passes on contains the secret.
    """
    if not api_key:
        return
    from flyte.remote._client.auth import _auth_utils
    from flyte._utils import org_from_endpoint  # type: ignore[import-not-found,unused-ignore]  # isort: skip

    found = parts(api_key)
    original = getattr(_auth_utils.decode_api_key, _MARK)
    try:
        misread = original(api_key)[3]
    except ValueError:
        return
    if found is None or misread == found[3]:
        return
    _corrections[misread] = org_from_endpoint(f"dns:///{found[0]}") if found[3] == "None" else found[3]
    described = initialize._InitConfig
    if hasattr(described, _MARK):
        return

    class InitConfig(described):  # type: ignore[misc,valid-type]
        """The arguments of `flyte.init`, with the right organization."""

        _flyte_auth = True

        def __init__(self, *, org: str | None = None, **arguments: Any) -> None:
            if org in _corrections:
                org = _corrections[org]
            super().__init__(org=org, **arguments)

    initialize._InitConfig = InitConfig

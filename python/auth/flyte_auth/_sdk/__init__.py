"""How the published SDK (the package `flyte` on PyPI) uses this package, unmodified.

The SDK loads the entry points of the group `flyte.plugins.types` in `flyte.init`, and those of `flyte.plugins.cli.hooks` when its
command runs a subcommand. Ours call `register`. The SDK has no registry of authenticators, so `register` replaces two functions in the
running process, `get_async_authenticator` and `decode_api_key`, the moment before the SDK needs them. No file is changed. The SDK's own
functions remain for what we do not handle.

`FLYTE_AUTH_SDK=off` turns it off. For an SDK of an unknown version or shape nothing is done, which the log says at debug level.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from typing import Any

log = logging.getLogger("flyte_auth")

# The oldest version whose functions are known.
_OLDEST = (2, 10)
_OFF = frozenset({"0", "false", "no", "off"})
_MARK = "_flyte_auth"


def is_off() -> bool:
    """Whether the user does not want this."""
    return os.environ.get("FLYTE_AUTH_SDK", "").strip().lower() in _OFF


def register() -> None:
    """Makes the SDK use this package for its clients. Called by `flyte.init`; never raises."""
    try:
        _register()
    except Exception as error:
        log.debug("the Flyte SDK signs in by itself: %s", error)


def hook(command: Any) -> Any:
    """Called when a subcommand of the SDK's command is about to run. Returns the subcommand, unchanged.

    The command reads `FLYTE_API_KEY` before it calls `flyte.init`.
    """
    try:
        if not is_off() and os.environ.get("FLYTE_API_KEY"):
            from flyte_auth._sdk._keys import replace_decoder

            if _known() is not None:
                replace_decoder()
    except Exception as error:
        log.debug("the Flyte SDK reads API keys by itself: %s", error)
    return command


def _known() -> Any:
    """The SDK's module `flyte._initialize`; None if it is not the published SDK, or one of an unknown version."""
    flyte, initialize = sys.modules.get("flyte"), sys.modules.get("flyte._initialize")
    if flyte is None or initialize is None or not hasattr(initialize, "_InitConfig"):
        return None
    version = str(getattr(flyte, "__version__", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if not _OLDEST <= numbers < (3,):
        log.debug("the Flyte SDK signs in by itself: version %s is not known", version)
        return None
    return initialize


def _register() -> None:
    if is_off():
        return
    initialize = _known()
    if initialize is None:
        return
    create = initialize._initialize_client
    if hasattr(create, _MARK):
        return

    # `flyte.init` calls it if there is a control plane. Without one, nothing else of the SDK is imported here.
    @functools.wraps(create)
    async def create_client(*args: Any, **kwargs: Any) -> Any:
        try:
            from flyte_auth._sdk import _keys, _registration

            _registration.replace_factory()
            _keys.replace_decoder()
            _keys.correct_organization(initialize, kwargs.get("api_key"))
        except Exception as error:
            log.debug("the Flyte SDK signs in by itself: %s", error)
        return await create(*args, **kwargs)

    setattr(create_client, _MARK, True)
    initialize._initialize_client = create_client

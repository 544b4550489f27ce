"""What a person is shown while they sign in: in a notebook's cell, elsewhere on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any


def in_notebook() -> bool:
    """Whether this is an IPython kernel, whose cells show HTML."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def is_interactive() -> bool:
    """Whether somebody is there to sign in."""
    if in_notebook():
        return True
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Prompt:
    """Shows the events of a sign-in, which the native half sends as JSON."""

    def __call__(self, event: str) -> None:
        told: dict[str, Any] = json.loads(event)
        handler = getattr(self, "_" + told.pop("event"), None)
        if handler is not None:
            handler(**told)

    def _device_instead(self) -> None:
        _tell("There is no browser on this machine, so you sign in on another device.")

    def _device_code(self, url: str, user_code: str, verification_uri: str, expires_in: int) -> None:
        _tell(
            f"\nTo Authenticate, navigate in a browser to the following URL:\n{url}\n\nThe page shows this code: {user_code}\n"
        )

    def _authorize_url(self, url: str, opened: bool) -> None:
        if opened:
            _tell(
                f"A browser was opened for you to sign in. If you do not see it, open this link:\n\n{url}\n"
            )
        else:
            _tell(f"Please open the following link in your browser to authenticate:\n\n{url}\n")

    def _command_says(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def _waiting(self) -> None:
        _tell("Waiting for another flyte process to finish signing in")

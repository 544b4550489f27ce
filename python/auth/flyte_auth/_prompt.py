"""What a person is shown while they sign in: in a notebook's cell, elsewhere on standard error."""

from __future__ import annotations

import html
import importlib
import json
import os
import sys
from datetime import datetime, timezone
from typing import Any

from flyte_auth import _native

# A QR code has four light modules all around (ISO/IEC 18004 section 5.3.8).
_MARGIN = 4
_SIZE = 180


def in_notebook() -> bool:
    """Whether this is an IPython kernel, whose cells show HTML."""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def is_interactive() -> bool:
    """Whether a user can sign in."""
    if in_notebook():
        return True
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


class Prompt:
    """Shows the events of a sign-in, which the native half sends as JSON."""

    def __init__(self, command: str = "flyte") -> None:
        # What messages call the command.
        self._command = command
        # What is shown in the cell, to be changed there: the link while it is needed, then that it is done.
        self._shown: Any = None
        self._page = self._plain = ""
        self._minutes_left = -1

    def __call__(self, event: str) -> None:
        fields: dict[str, Any] = json.loads(event)
        handler = getattr(self, "_" + fields.pop("event"), None)
        if handler is not None:
            handler(**fields)

    def _device_instead(self) -> None:
        _tell("No browser found here; sign in on another device.")

    def _device_code(
        self, url: str, user_code: str, verification_uri: str, expires_in: int, number: str | None = None
    ) -> None:
        entered = f"Enter this number on the page: {number}" if number else ""
        if in_notebook():
            self._page = device_page(url, user_code) + (
                f"<div>{html.escape(entered)}</div>" if number else ""
            )
            self._minutes_left = -1
            self._plain = (
                f"{_words(url)}\nCheck that the page shows this code: {user_code}\n{entered}".rstrip()
            )
            self._shown = _display(self._page, self._plain)
            self._code_expires_in(expires_in)
        else:
            _tell(
                f"\n{_words(url)}\n\n{terminal_picture(url)}Check that the page shows this code: {user_code}\n"
                + (f"{entered}\n" if number else "")
            )

    def _code_expires_in(self, seconds: int) -> None:
        minutes = -(-seconds // 60)
        if self._shown is None or minutes == self._minutes_left:
            return
        self._minutes_left = minutes
        left = "one minute" if minutes == 1 else f"{minutes} minutes"
        self._change(f"{self._page}<div><small>The code is valid for {left}.</small></div>")

    def _authorize_url(self, url: str, opened: bool) -> None:
        if opened:
            first = "A browser was opened for you to sign in. If you do not see it, open this link:"
        else:
            first = "Open this link in your browser to sign in:"
        if in_notebook():
            link = f"<a href='{html.escape(url, quote=True)}' target='_blank' rel='noopener'>Sign in</a>"
            self._shown = _display(f"<div>{first} {link}</div>", f"{first}\n{url}")
        else:
            _tell(f"{first}\n\n{url}\n")

    def _step_up(self, endpoint: str, wanted: str) -> None:
        _tell(f"{endpoint} requires {wanted} for this.")

    def _credentials_end(self, client_id: str, at: int, left: int) -> None:
        when = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        _tell(
            f"The API key {client_id} stops working at {when} (in {left // 86_400} days). To renew it: "
            f"{self._command} rotate api-key {client_id} --expires 90d"
        )

    def _command_says(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    def _waiting(self, process: str | None = None) -> None:
        _tell(f"Waiting for {process or 'another flyte process'}, which signs in or renews the login")

    def _notice(self, text: str) -> None:
        _tell(_native.name_command(text, self._command))

    def _session_ended(self, message: str) -> None:
        _tell(f"Sign in again: {message}.")

    def _done(self) -> None:
        if self._shown is not None:
            self._change("<div>You are signed in.</div>", "You are signed in.")

    def _signed_in(self, endpoint: str, name: str | None) -> None:
        words = f"Signed in to {endpoint} as {name}." if name else f"Signed in to {endpoint}."
        if self._shown is not None:
            self._change(f"<div>{html.escape(words)}</div>", words)
            self._shown = None
        elif not in_notebook():
            _tell(words)

    def _change(self, page: str, words: str = "") -> None:
        self._shown.update({"text/html": page, "text/plain": words or self._plain}, raw=True)


def _words(url: str) -> str:
    return f"To Authenticate, navigate in a browser to the following URL:\n{url}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _display(page: str, words: str) -> Any:
    """Shows HTML in the cell (or text without HTML support) and returns its handle."""
    show: Any = importlib.import_module("IPython.display").display
    return show({"text/html": page, "text/plain": words}, raw=True, display_id=True)


def device_page(url: str, user_code: str) -> str:
    """What a cell shows of a sign-in on another device: the link, a picture of it, the code."""
    link = html.escape(url, quote=True)
    return (
        "<div>To Authenticate, navigate in a browser to the following URL:</div>"
        f"<div><a href='{link}' target='_blank' rel='noopener'>{link}</a></div>"
        f"{picture(url)}"
        f"<div>Check that the page shows this code: <code style='font-size:1.4em'>{html.escape(user_code)}</code></div>"
    )


# The lines around a QR code in a terminal that must be visible with it.
_LINES_AROUND = 9
_HALVES = {("0", "0"): "\u2588", ("0", "1"): "\u2580", ("1", "0"): "\u2584", ("1", "1"): " "}


def terminal_picture(url: str) -> str:
    """A QR code of a link for standard error, if that is a terminal that is large enough; otherwise nothing.

    It is black on white on any terminal, because some phones cannot read an inverted code.
    """
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return ""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
        rows = _native.qr(url)
    except (OSError, ValueError):
        return ""
    light = "0" * _MARGIN
    empty = "0" * (len(rows) + 2 * _MARGIN)
    framed = [empty] * _MARGIN + [f"{light}{row}{light}" for row in rows] + [empty] * _MARGIN
    if len(framed) % 2:
        framed.append(empty)
    lines = [
        "".join(_HALVES[pair] for pair in zip(*two, strict=True))
        for two in zip(framed[::2], framed[1::2], strict=True)
    ]
    if len(empty) > size.columns or len(lines) > size.lines - _LINES_AROUND:
        return ""
    return "".join(f"\x1b[97;40m{line}\x1b[0m\n" for line in lines) + "\n"


def picture(url: str) -> str:
    """A QR code of a link as SVG; empty if the link is too long."""
    try:
        rows = _native.qr(url)
    except ValueError:
        return ""
    side = len(rows) + 2 * _MARGIN
    squares = "".join(
        f"M{x + _MARGIN} {y + _MARGIN}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, dark in enumerate(row)
        if dark == "1"
    )
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {side} {side}' width='{_SIZE}' height='{_SIZE}' role='img' "
        "aria-label='QR code of the link' shape-rendering='crispEdges' style='background:#fff'>"
        f"<path d='{squares}' fill='#000'/></svg>"
    )

#!/usr/bin/env python3
"""Simulates a user who answers for a device on another one, with a headless Chromium: opens the URL that the device
showed, signs in, compares the code, and approves or denies.

Usage: answer-device.py PASSWORD_FILE URL CODE approve|deny. Where the URL has no code in it, CODE is typed as people type:
small letters, no hyphen. Prints the heading of the last page.
"""

import pathlib
import sys
import time
import urllib.error

sys.dont_write_bytecode = True

from browser import Browser  # noqa: E402

# On a busy machine a browser takes its time.
PATIENCE = 120


def main() -> None:
    password_file, url, code, decision = sys.argv[1:]
    password = pathlib.Path(password_file).read_text().strip()
    with Browser() as browser:
        browser.open(url)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if step(browser, password, code, decision):
                    print(browser.text(browser.find("h1")[0]))
                    return
            except (urllib.error.HTTPError, IndexError):
                pass  # the page changed under the hand: look again
            time.sleep(0.1)
        raise TimeoutError(f"still at {browser.url()}:\n{browser.source()}")


def step(browser: Browser, password: str, code: str, decision: str) -> bool:
    """Does what the page asks for; whether it asks for nothing more."""
    if fields := browser.find("input[type=password]"):
        browser.fill(browser.find("input[autocomplete=username]")[0], "admin@localhost")
        browser.fill(fields[0], password)
        browser.click(browser.find("button[type=submit]")[0])
    elif shown := browser.find(".user-code.shown"):
        if browser.text(shown[0]) != code:
            raise ValueError(f"the page shows {browser.text(shown[0])}, the device {code}")
        browser.click(browser.find(f"button[value={decision}]")[0])
    elif browser.find("[role=alert]"):
        return True
    elif fields := browser.find("input#user_code"):
        browser.fill(fields[0], code.lower().replace("-", ""))
        browser.click(browser.find("button[type=submit]")[0])
    else:
        return bool(browser.find("h1"))
    return False


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Simulates a user at a browser: opens the URL in a headless Chromium, signs in and agrees.

Usage: sign-in.py [--mistype] PASSWORD_FILE URL, as the BROWSER of `flyte`. With --mistype the first password is wrong. What
went wrong is in ~/browser.log, because the programs that open browsers discard their output.
"""

import pathlib
import sys
import time
import traceback
import urllib.error

sys.dont_write_bytecode = True

from browser import Browser  # noqa: E402

# On a busy machine a browser takes its time.
PATIENCE = 120


def main() -> None:
    *options, password_file, url = sys.argv[1:]
    passwords = [pathlib.Path(password_file).read_text().strip()]
    if "--mistype" in options:
        passwords.insert(0, "not the password")
    with Browser() as browser:
        browser.open(url)
        sign_in(browser, passwords)


def sign_in(browser: Browser, passwords: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while "/callback" not in browser.url() and not browser.title().startswith("Device connected"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still at {browser.url()}:\n{browser.source()}")
        try:
            for field in browser.find("input[type=password]"):
                # The second is what oidc-provider's development page calls it.
                name = browser.find("input[autocomplete=username], input[name=login]")[0]
                browser.fill(name, "admin@localhost")
                browser.fill(field, passwords.pop(0) if len(passwords) > 1 else passwords[0])
            for button in browser.find("button[type=submit]")[:1]:
                browser.click(button)
        except urllib.error.HTTPError:
            pass  # the page changed under the hand: look again
        time.sleep(0.1)
    print(browser.title(), file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        (pathlib.Path.home() / "browser.log").write_text(traceback.format_exc())
        raise

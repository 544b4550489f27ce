#!/usr/bin/env python3
"""Stands in for a person at a browser: opens the URL in a headless Chromium, signs in and agrees.

Usage: sign-in.py [--mistype] PASSWORD_FILE URL, as the BROWSER of `flyte`. With --mistype the first password is wrong. Drives Chromium by chromedriver's WebDriver protocol
(https://www.w3.org/TR/webdriver2/), with nothing but the standard library.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def main() -> None:
    *options, password_file, url = sys.argv[1:]
    passwords = [pathlib.Path(password_file).read_text().strip()]
    if "--mistype" in options:
        passwords.insert(0, "not the password")
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            port = next(line.rsplit(" ", 1)[1].strip(" .\n") for line in driver.stdout if "successfully on port" in line)
            sign_in(f"http://127.0.0.1:{port}", profile, url, passwords)
        finally:
            driver.terminate()
            driver.wait()


def sign_in(driver: str, profile: str, url: str, passwords: list[str]) -> None:
    def call(method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(driver + path, data, {"content-type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.load(opener.open(request, timeout=60))["value"]

    options = {"binary": "/usr/bin/chromium", "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
    wanted = {"browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options}
    session = "/session/" + call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
    call("POST", session + "/url", {"url": url})

    def find(selector: str) -> list[str]:
        found = call("POST", session + "/elements", {"using": "css selector", "value": selector})
        return [f"{session}/element/{element[ELEMENT]}" for element in found]

    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if "/callback" in call("GET", session + "/url"):
            print(call("GET", session + "/title"), file=sys.stderr)
            break
        try:
            for field in find("input[type=password]"):
                name = find("input[autocomplete=username], input[name=login]")[0]
                call("POST", name + "/clear", {})
                call("POST", name + "/value", {"text": "admin@localhost"})
                call("POST", field + "/value", {"text": passwords.pop(0) if len(passwords) > 1 else passwords[0]})
            for button in find("button[type=submit]")[:1]:
                call("POST", button + "/click", {})
        except urllib.error.HTTPError:
            pass  # the page changed under the hand: look again
        time.sleep(0.1)
    call("DELETE", session)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Takes the pictures of the server's pages that the documentation shows, with a headless Chromium.

Usage: pages.py DIRECTORY

Starts the debug build of flyte-server on a free port with a directory of its own, visits the sign-in page in light and dark and
at a phone's width, mistypes a password, signs in, looks at the home page, signs out and makes a bad request; writes one PNG for
each into DIRECTORY, of which docs/images keeps those that a page shows.
Drives Chromium by chromedriver's WebDriver protocol, with nothing but the standard library.
"""

import base64
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/flyte-server"
PASSWORD = "correct horse battery staple"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
SIGN_IN = (
    "/oauth2/authorize?response_type=code&client_id=flyte&redirect_uri=http://localhost:53593/callback&state=s"
    "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&scope=openid+all"
)


class Browser:
    """One session of chromedriver."""

    def __init__(self, driver: str, profile: str) -> None:
        self.driver, self.session = driver, ""
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        wanted = {"acceptInsecureCerts": True, "goog:chromeOptions": {"args": arguments}}
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{answer['sessionId']}"

    def call(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.driver + self.session + path, data, {"content-type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.load(opener.open(request, timeout=60))["value"]

    def devtools(self, command: str, **parameters) -> dict:
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width: int, height: int, scheme: str) -> None:
        """From now on, shows pages at this size, in `light` or `dark`."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def go(self, url: str) -> None:
        self.call("POST", "/url", {"url": url})

    def type(self, selector: str, text: str) -> None:
        element = self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self.call("POST", f"/element/{element}/clear", {})
        self.call("POST", f"/element/{element}/value", {"text": text})

    def click(self, selector: str) -> None:
        element = self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self.call("POST", f"/element/{element}/click", {})

    def picture(self, path: pathlib.Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))
        print(path)


def main() -> None:
    output = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        url = f"https://localhost:{port}"
        password = pathlib.Path(scratch, "password")
        password.write_text(PASSWORD)
        server = subprocess.Popen(
            [SERVER, "--data-dir", f"{scratch}/data", "--listen", f"127.0.0.1:{port}", "--admin-password-file", password],
            stderr=subprocess.DEVNULL,
        )
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            wait_for(url)
            address = next(line.rsplit(" ", 1)[1].strip(" .\n") for line in driver.stdout if "successfully on port" in line)
            take(Browser(f"http://127.0.0.1:{address}", f"{scratch}/profile"), url, output)
        finally:
            for process in (driver, server):
                process.terminate()
                process.wait()


def take(browser: Browser, url: str, output: pathlib.Path) -> None:
    for name, *size in (("sign-in", 720, 610, "light"), ("sign-in-dark", 720, 610, "dark"), ("sign-in-phone", 360, 640, "light")):
        browser.look(*size)
        browser.go(url + SIGN_IN)
        browser.picture(output / f"{name}.png")
    browser.look(720, 710, "light")
    browser.type("input[autocomplete=username]", "admin@localhost")
    browser.type("input[type=password]", "not the password")
    browser.click("button[type=submit]")
    browser.picture(output / "sign-in-failed.png")
    browser.go(url + "/login")
    browser.type("input[autocomplete=username]", "admin@localhost")
    browser.type("input[type=password]", PASSWORD)
    browser.click("button[type=submit]")
    browser.look(720, 560, "light")
    browser.go(url + "/")
    browser.picture(output / "home.png")
    browser.go(url + "/oauth2/logout")
    browser.picture(output / "sign-out.png")
    browser.go(url + "/oauth2/authorize?client_id=unknown")
    browser.picture(output / "error.png")
    browser.call("DELETE", "")


def wait_for(url: str) -> None:
    anything = ssl.create_default_context()
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    for _ in range(600):
        try:
            urllib.request.urlopen(url + "/healthz", timeout=5, context=anything).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server did not start")


if __name__ == "__main__":
    main()

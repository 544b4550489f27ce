"""A headless Chromium, driven by chromedriver's WebDriver protocol (https://www.w3.org/TR/webdriver2/) with nothing but the
standard library.
"""

import json
import subprocess
import tempfile
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


def driver() -> tuple[subprocess.Popen, int]:
    """A chromedriver and its port. It chooses a port for IPv4 and fails if that is in use for IPv6. Then it is started again."""
    said = ""
    for _ in range(10):
        process = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in process.stdout:
            said += line
            if "successfully on port" in line:
                return process, int(line.rsplit(" ", 1)[1].strip(" .\n"))
        process.wait()
    raise RuntimeError(f"chromedriver does not start:\n{said}")


class Browser:
    """A browser with a fresh profile that trusts any certificate; closed at the end of its `with`."""

    def __enter__(self):
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._driver, port = driver()
        self._base = f"http://127.0.0.1:{port}"
        options = {"binary": "/usr/bin/chromium", "args": [*ARGUMENTS, f"--user-data-dir={self._profile.name}"]}
        wanted = {"browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._base += "/session/" + session["sessionId"]
        return self

    def __exit__(self, *_):
        try:
            self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait()
            self._profile.cleanup()

    def _call(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"content-type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.load(opener.open(request, timeout=120))["value"]

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def url(self) -> str:
        return self._call("GET", "/url")

    def title(self) -> str:
        return self._call("GET", "/title")

    def source(self) -> str:
        return self._call("GET", "/source")

    def find(self, selector: str) -> list[str]:
        found = self._call("POST", "/elements", {"using": "css selector", "value": selector})
        return [f"/element/{element[ELEMENT]}" for element in found]

    def text(self, element: str) -> str:
        """Its visible text."""
        return self._call("GET", element + "/text")

    def fill(self, element: str, text: str) -> None:
        self._call("POST", element + "/clear", {})
        self._call("POST", element + "/value", {"text": text})

    def click(self, element: str) -> None:
        self._call("POST", element + "/click", {})

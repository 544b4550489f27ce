"""The module `flyte_auth`: sessions, tokens, and authentication for HTTP libraries."""

from __future__ import annotations

import asyncio
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
import requests

import flyte_auth
from conftest import ROOT, TARGET, Server

WHO = "/flyteidl2.auth.IdentityService/UserInfo"
JSON = {"content-type": "application/json"}


@pytest.fixture
def machine(server: Server, api_key: str, home: pathlib.Path) -> flyte_auth.Session:
    """The session of an API key."""
    (home / ".flyte").mkdir()
    (home / ".flyte/config.yaml").write_text(
        f"admin:\n  endpoint: dns:///{server.endpoint}\n  caCertFilePath: {server.ca}\n"
    )
    return flyte_auth.Session(api_key=api_key, ca_cert_file=server.ca)


def test_token_and_header(machine: flyte_auth.Session, server: Server) -> None:
    assert machine.endpoint == f"https://{server.endpoint}"
    token = machine.token()
    assert machine.header() == ("authorization", f"Bearer {token}")
    assert asyncio.run(machine.token.aio()) == token
    machine.reject(token)
    assert machine.token() != token
    status = machine.status()
    assert (status.signed_in, status.auth_type) == (True, "ClientSecret")


def test_the_configuration_is_the_default(
    signed_in: pathlib.Path, home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(signed_in))
    monkeypatch.chdir(signed_in)
    token = flyte_auth.token()
    assert token.count(".") == 2
    assert asyncio.run(flyte_auth.token.aio()) == token
    assert flyte_auth.status().signed_in


def test_errors_name_the_command_of_this_package(server: Server, home: pathlib.Path) -> None:
    session = flyte_auth.Session(server.endpoint, ca_cert_file=server.ca, interactive=False)
    with pytest.raises(flyte_auth.LoginRequiredError, match=r"`flyte-auth .*auth login") as raised:
        session.token()
    assert raised.value.code == "login" and isinstance(raised.value, flyte_auth.AuthenticationError)
    with pytest.raises(flyte_auth.ConfigurationError, match="no control plane is configured"):
        flyte_auth.token()
    with pytest.raises(flyte_auth.AuthenticationError):
        flyte_auth.Session(api_key="bm90IGEga2V5")


def test_httpx_and_requests(machine: flyte_auth.Session, server: Server) -> None:
    url = f"https://{server.endpoint}{WHO}"
    with httpx.Client(auth=flyte_auth.httpx_auth(machine), verify=str(server.ca)) as client:
        first = client.post(url, headers=JSON, content="{}")
        assert first.status_code == 200 and "python-tests" in first.text, first.text
        # A rejected token is replaced.
        used = machine.token()
        machine.reject(used)
        assert client.post(url, headers=JSON, content="{}").status_code == 200

    async def awaited() -> int:
        auth = flyte_auth.httpx_auth(machine)
        async with httpx.AsyncClient(auth=auth, verify=str(server.ca)) as client:
            return (await client.post(url, headers=JSON, content="{}")).status_code

    assert asyncio.run(awaited()) == 200
    answer = requests.post(
        url, headers=JSON, data="{}", auth=flyte_auth.requests_auth(machine), verify=str(server.ca)
    )
    assert answer.status_code == 200 and "python-tests" in answer.text


class Once(BaseHTTPRequestHandler):
    """Rejects the first token, accepts the next, and redirects elsewhere."""

    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        token = self.headers.get("authorization")
        self.seen.append((self.path, token))
        tokens = [token for path, token in self.seen if path == "/"]
        status = 302 if self.path == "/elsewhere" else 401 if token is None or len(tokens) == 1 else 200
        self.send_response(status)
        if status == 302:
            self.send_header("location", f"http://127.0.0.1:{self.server.server_address[1]}/there")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def app() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    handler = type("Handler", (Once,), {"seen": []})
    server = HTTPServer(("localhost", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}", handler.seen
    server.shutdown()


@pytest.mark.parametrize("library", ["httpx", "httpx async", "requests"])
def test_tokens_go_only_where_they_are_meant_to(
    machine: flyte_auth.Session, app: tuple[str, list[tuple[str, str | None]]], library: str
) -> None:
    url, seen = app

    def get(path: str, also: list[str]) -> int:
        if library == "requests":
            return requests.get(url + path, auth=flyte_auth.requests_auth(machine, also=also)).status_code
        auth = flyte_auth.httpx_auth(machine, also=also)
        if library == "httpx":
            return httpx.get(url + path, auth=auth).status_code

        async def awaited() -> int:
            async with httpx.AsyncClient(auth=auth) as client:
                return (await client.get(url + path)).status_code

        return asyncio.run(awaited())

    # Another server gets no token.
    assert get("/other", []) == 401 and seen == [("/other", None)]
    seen.clear()
    # One that is named does; a rejected token is replaced once.
    assert get("/", [url]) == 200
    (_, first), (_, second) = seen
    assert first and second and first != second
    seen.clear()
    # No token follows a redirect to another origin.
    get("/elsewhere", [url])
    assert [path for path, token in seen if token] == ["/elsewhere"]


def test_importing_it_loads_little() -> None:
    program = "import sys, flyte_auth; print([n for n in ('flyte_auth._native', 'json', 'asyncio', 'typing') if n in sys.modules])"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout == "[]\n"
    for name in flyte_auth.__all__:
        assert getattr(flyte_auth, name) is not None and name in dir(flyte_auth)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        flyte_auth.absent  # noqa: B018


def test_the_sample_has_types(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sample.py").write_text(
        "from typing import assert_type\n"
        "import flyte_auth, httpx\n"
        "assert_type(flyte_auth.token(), str)\n"
        "session = flyte_auth.Session('flyte.example.com', headless=True)\n"
        "assert_type(session.header(), tuple[str, str] | None)\n"
        "assert_type(session.status(), flyte_auth.Status)\n"
        "assert_type(flyte_auth.httpx_auth(session), httpx.Auth)\n"
        "async def main() -> None:\n"
        "    assert_type(await session.token.aio(), str)\n"
        "    await session.login.aio(1)  # type: ignore[call-arg]\n"
    )
    check = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        TARGET / "tmp/mypy-auth",
    ]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python/auth")}
    output = subprocess.run([*check, tmp_path / "sample.py"], env=environment, capture_output=True, text=True)
    assert output.returncode == 0, output.stdout

"""The unmodified published SDK with flyte-auth beside it, on a machine without a keyring."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pathlib
import pty
import re
import secrets
import sqlite3
import subprocess
import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import person
from conftest import COMMAND, PASSWORD, TARGET, Server, eventually, running, sign_in
from flyte_auth import _native

PEERS = TARGET / "peers"
SDK = PEERS / "venv/bin"
# The package, and the metadata that a wheel would have: python/dev makes it.
BESIDE = PEERS / "flyte-auth"

LISTING = """
import flyte
from flyte.remote import Project
flyte.init_from_config()
print([project.to_dict()["id"] for project in Project.listall()])
"""

SHORT, LONG = {"FLYTE_SERVER_TOKENS_ACCESS_TOKEN_TTL": "1s"}, {"FLYTE_SERVER_TOKENS_ACCESS_TOKEN_TTL": "1h"}


def environment(home: pathlib.Path, **variables: str) -> dict[str, str]:
    """A machine without a keyring, a browser and a display."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(BESIDE), **variables}


def run(home: pathlib.Path, *command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        env=environment(home, **variables),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def listing(home: pathlib.Path, **variables: str) -> str:
    """The projects as a program with the SDK sees them, without a user who could sign in."""
    output = run(home, SDK / "python", "-c", LISTING, CI="true", **variables)
    assert output.returncode == 0, output.stderr
    assert "flytesnacks" in output.stdout, output
    return output.stderr


def configure(server: Server, home: pathlib.Path, *more: str) -> None:
    (home / ".flyte").mkdir(exist_ok=True)
    lines = [f"  endpoint: dns:///{server.endpoint}", f"  caCertFilePath: {server.ca}", *more]
    (home / ".flyte/config.yaml").write_text("\n".join(["admin:", *lines, ""]))


def tokens_issued(server: Server) -> int:
    # The log is written in order, and is as far as the requests before this one when it has this one.
    path = f"/{secrets.token_hex(8)}"
    with contextlib.suppress(urllib.error.HTTPError):
        server.get(path)
    eventually("the log", lambda: server.logged(path, "answered"))
    return server.logged('path="/oauth2/token"', "status=200")


@pytest.fixture
def expired(tmp_path: pathlib.Path) -> Iterator[tuple[Server, pathlib.Path]]:
    """A server, and a home with a login whose access token has expired."""
    with running(tmp_path, **SHORT) as server:
        home = tmp_path / "home"
        home.mkdir()
        sign_in(server, home)
        status = [COMMAND, "auth", "status", "--offline", "-o", "json"]

        def has_expired() -> bool:
            output = subprocess.run(status, env=environment(home), cwd=home, capture_output=True, text=True)
            return bool(json.loads(output.stdout)["expired"])

        eventually("the expiry", has_expired)
        server.crash(**LONG)
        yield server, home


def test_one_sign_in_serves_every_process_and_both_commands(server: Server, home: pathlib.Path) -> None:
    configure(server, home)
    before = tokens_issued(server)
    # A terminal that is large enough for the QR code.
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 80, 120, 0, 0))
    first = subprocess.Popen(
        [SDK / "flyte", "whoami"],
        env=environment(home),
        cwd=home,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
    )
    os.close(follower)
    shown, approved = "", False
    while first.poll() is None:
        try:
            shown += os.read(leader, 65536).decode(errors="replace")
        except OSError:
            break
        link = [
            line.strip() for line in shown.splitlines() if line.startswith("https://") and "user_code" in line
        ]
        if link and "Check that" in shown and not approved:
            approved = True
            assert person.approve(str(server.ca), PASSWORD, link[0]).startswith("Device connected")
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 0, shown
    # Nothing but the answer is on standard output, and the code can be scanned.
    assert json.loads(re.sub("\x1b\\[[0-9;]*m", "", out))["subject"], out
    assert shown.count("\u2588\u2588\u2588\u2588") > 10, shown
    assert tokens_issued(server) - before == 1
    # Each next process is signed in already, and says nothing of it.
    assert "Authenticate" not in listing(home)
    again = run(home, SDK / "flyte", "get", "project", CI="true")
    assert again.returncode == 0 and "flytesnacks" in again.stdout, again
    ours = run(home, COMMAND, "get", "project", CI="true")
    assert ours.returncode == 0 and "flytesnacks" in ours.stdout, ours
    assert tokens_issued(server) - before == 1
    # The login is encrypted; no other file of it is left.
    (stored,) = (home / ".local/share/flyte").iterdir()
    assert stored.suffix == ".tokens" and b"refresh_token" not in stored.read_bytes()
    assert not (home / ".flyte/keyring.cfg").exists()


def test_twenty_processes_at_expiry_make_one_refresh(expired: tuple[Server, pathlib.Path]) -> None:
    server, home = expired
    before = tokens_issued(server)
    processes = [
        subprocess.Popen(
            [SDK / "python", "-c", LISTING],
            env=environment(home, CI="true"),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(20)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert all("flytesnacks" in output for output in outputs), outputs
    assert tokens_issued(server) - before == 1


def test_a_refresh_that_fails_for_a_moment_costs_nothing(expired: tuple[Server, pathlib.Path]) -> None:
    server, home = expired
    before = tokens_issued(server)
    # The server answers, but cannot write: the token endpoint is temporarily unavailable.
    database = sqlite3.connect(next((server.directory / "data").glob("*.db")), isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    output = run(home, SDK / "python", "-c", LISTING, CI="true")
    assert output.returncode != 0 and tokens_issued(server) == before, output
    database.execute("ROLLBACK")
    database.close()
    listing(home)
    assert tokens_issued(server) - before == 1


def test_a_key_of_a_server_on_any_port_works(server: Server, api_key: str, home: pathlib.Path) -> None:
    configure(server, home)
    secret = _native.decode_api_key(api_key)[2]
    output = run(home, SDK / "flyte", "whoami", FLYTE_API_KEY=api_key)
    assert output.returncode == 0 and "python-tests" in output.stdout, output
    program = f"""
import flyte, flyte._initialize
from flyte.remote import User
flyte.init_from_api_key(ca_cert_file_path={str(server.ca)!r})
print(User.get().subject(), repr(flyte._initialize._init_config))
"""
    output = run(home, SDK / "python", "-c", program, FLYTE_API_KEY=api_key)
    assert output.returncode == 0 and "python-tests" in output.stdout, output
    # The SDK alone takes the secret for the organization.
    assert secret not in output.stdout + output.stderr
    # A machine's token is stored nowhere.
    assert not (home / ".local/share/flyte").exists()


class Backend(BaseHTTPRequestHandler):
    """A control plane that wants its token in a header of its own."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]]
    address: str

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        method = self.path.rpartition("/")[2]
        if method == "token":
            return self.answer(
                200, "application/json", b'{"access_token":"t0k","token_type":"bearer","expires_in":60}'
            )
        if method == "GetOAuth2Metadata":
            found = {"issuer": self.address, "tokenEndpoint": f"{self.address}/token"}
            return self.message("flyteidl2.auth.GetOAuth2MetadataResponse", found)
        if method == "GetPublicClientConfig":
            found = {"clientId": "c", "authorizationMetadataKey": "flyte-authorization"}
            return self.message("flyteidl2.auth.GetPublicClientConfigResponse", found)
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        if self.headers.get("flyte-authorization") == "Bearer t0k":
            return self.message("flyteidl2.auth.UserInfoResponse", {"subject": "someone"})
        return self.answer(401, "application/json", b'{"code":"unauthenticated","message":"no"}')

    def message(self, name: str, value: dict[str, str]) -> None:
        text = json.dumps(value)
        if self.headers["content-type"] == "application/json":
            return self.answer(200, "application/json", text.encode())
        return self.answer(200, self.headers["content-type"], _native.encode(name, text))

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(404, "text/plain", b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def backend(tmp_path: pathlib.Path) -> Iterator[type[Backend]]:
    import ssl

    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext "
        "subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem".split(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    handler = type("Handler", (Backend,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    handler.address = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield handler
    server.shutdown()


def test_the_header_that_the_server_asks_for_is_used(
    backend: type[Backend], home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (home / "secret").write_text("s3cret")
    (home / "token.sh").write_text("echo t0k\n")
    address = backend.address.removeprefix("https://")
    for lines in (
        ["authType: ClientSecret", "clientId: ci", f"clientSecretLocation: {home / 'secret'}"],
        ["authType: ExternalCommand", f"command: [sh, {home / 'token.sh'}]"],
    ):
        admin = [f"endpoint: dns:///{address}", f"caCertFilePath: {tmp_path / 'cert.pem'}", *lines]
        (home / "config.yaml").write_text("admin:\n" + "".join(f"  {line}\n" for line in admin))
        output = run(home, SDK / "flyte", "whoami")
        assert output.returncode == 0 and "someone" in output.stdout, output
        # The first call has the token already, in that header alone.
        (call,) = backend.seen
        assert call["flyte-authorization"] == "Bearer t0k" and "authorization" not in call
        backend.seen.clear()


LOOK = """
import json, sys, flyte
{before}
flyte.init()
ours = sorted(name for name in sys.modules if name.startswith("flyte_auth"))
replaced = hasattr(flyte._initialize._initialize_client, "__wrapped__")
print(json.dumps([replaced, ours, [name for name in ("httpx", "keyring", "asyncssh") if name in sys.modules]]))
"""


def look(home: pathlib.Path, before: str = "", **variables: str) -> list[object]:
    """Whether `flyte.init` found ours, the modules that it loaded of ours, and the slow ones of others."""
    output = run(home, SDK / "python", "-c", LOOK.format(before=before), **variables)
    assert output.returncode == 0, output
    found: list[object] = json.loads(output.stdout)
    return found


def test_only_a_known_sdk_is_changed_and_nothing_is_loaded_for_it(home: pathlib.Path) -> None:
    # Without a control plane, the native half and the HTTP libraries are not loaded.
    assert look(home) == [True, ["flyte_auth", "flyte_auth._sdk"], []]
    assert look(home, FLYTE_AUTH_SDK="off")[0] is False
    for version in ("2.9.4", "3.0.0", "unknown"):
        assert look(home, f"flyte.__version__ = {version!r}")[0] is False


def test_keyring_uses_the_encrypted_file(server: Server, home: pathlib.Path) -> None:
    sign_in(server, home)
    before = tokens_issued(server)
    # Without ours, the SDK's own authenticator finds the login with the package `keyring`.
    listing(home, FLYTE_AUTH_SDK="off")
    assert tokens_issued(server) == before
    program = """
import keyring
print(keyring.get_keyring())
keyring.set_password("service", "user", "p4ssword")
print(keyring.get_password("service", "user"), keyring.get_password("service", "unknown"))
keyring.delete_password("service", "user")
print(keyring.get_password("service", "user"))
try:
    keyring.delete_password("service", "user")
except keyring.errors.PasswordDeleteError as error:
    print(error)
"""
    output = run(home, SDK / "python", "-c", program)
    assert output.returncode == 0, output
    first, *others = output.stdout.splitlines()
    assert "flyte_auth.keyring.EncryptedFileKeyring" in first
    assert others == ["p4ssword None", "None", "there is no such password"]

"""A real server, and people and machines that use it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

import person

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SERVER, COMMAND = TARGET / "debug/flyte-server", TARGET / "debug/flyte"
PASSWORD = "correct horse battery staple"
# The tests may run as root.
os.environ["FLYTE_SERVER_RUNNER_ALLOW_ROOT"] = "true"


@dataclass
class Server:
    """A running `flyte-server` with its own data directory."""

    directory: pathlib.Path
    port: int
    process: subprocess.Popen[bytes]
    start: Callable[..., subprocess.Popen[bytes]]

    def crash(self, **changes: str) -> None:
        """Kills it at once and starts it again on the same data, with other variables if there are any."""
        self.process.kill()
        self.process.wait()
        self.process = self.start(**changes)
        eventually("the server", lambda: self.get("/readyz"))

    @property
    def endpoint(self) -> str:
        return f"localhost:{self.port}"

    def logged(self, *parts: str) -> int:
        """How many lines of the log contain all of this."""
        lines = (self.directory / "log").read_text().splitlines()
        return sum(all(part in line for part in parts) for line in lines)

    @property
    def ca(self) -> pathlib.Path:
        return self.directory / "data/ca.pem"

    def get(self, path: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://{self.endpoint}{path}", context=context, timeout=5) as answer:
            return bytes(answer.read())

    def operator(self, *arguments: str) -> str:
        """A command of the operator's on the same data directory; what it prints."""
        command = [SERVER, "--data-dir", self.directory / "data", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def stop(self) -> None:
        """Stops the server, and the tasks of its supervisors, which would otherwise continue."""
        self.process.kill()
        self.process.wait()
        for pid in self.supervisors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        eventually("the end of what the server had started", lambda: not self.supervisors())

    def supervisors(self) -> list[int]:
        """The processes that hold the locks of attempts and of apps."""
        found = []
        for kind in ("attempts", "apps"):
            for path in (self.directory / "data" / kind).rglob("lock"):
                with path.open("r+") as lock:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        found.append(int(lock.read() or 0))
        return [pid for pid in found if pid]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(what: str, happens, seconds: float = 60):
    """Waits until `happens()` gives something true."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if result := happens():
                return result
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.05)


@contextlib.contextmanager
def running(directory: pathlib.Path, **environment: str) -> Iterator[Server]:
    """A server with its own data directory and these variables."""
    (directory / "password").write_text(PASSWORD)
    port = free_port()
    redirect = f"http://localhost:{free_port()}/callback"

    def start(**changes: str) -> subprocess.Popen[bytes]:
        with (directory / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    SERVER,
                    *("--data-dir", directory / "data"),
                    *("--listen", f"127.0.0.1:{port}"),
                    *("--admin-password-file", directory / "password"),
                    *("--log", "flyte=debug"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "FLYTE_SERVER_CLIENT_REDIRECT_URI": redirect, **environment, **changes},
            )

    server = Server(directory, port, start(), start)
    try:
        eventually("the server", lambda: server.get("/readyz"))
        yield server
    except BaseException:
        print((directory / "log").read_text()[-5000:], file=sys.stderr)
        raise
    finally:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A home without configuration, keyring and browser, and `flyte` not initialized."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("FLYTE", "UCTL", "_U_", "XDG_", "DISPLAY", "WAYLAND", "BROWSER", "DBUS", "SSH_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    # The tests can run in a CI job, in which no user can sign in.
    monkeypatch.setenv("CI", "false")
    monkeypatch.chdir(home)
    import flyte._initialize

    monkeypatch.setattr(flyte._initialize, "_state", None)
    return home


def sign_in(server: Server, home: pathlib.Path) -> pathlib.Path:
    """Signs the administrator in, by the `flyte` command, in a home whose configuration names the server."""
    (home / ".flyte").mkdir()
    (home / ".flyte/config.yaml").write_text(
        f"admin:\n  endpoint: dns:///{server.endpoint}\n  authType: DeviceFlow\n  caCertFilePath: {server.ca}\n"
        "task:\n  project: flytesnacks\n  domain: development\n"
    )
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    login = subprocess.Popen(
        [COMMAND, "auth", "login"],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert login.stderr is not None
    for line in login.stderr:
        if line.startswith("https://"):
            assert person.approve(str(server.ca), PASSWORD, line.strip()).startswith("Device connected")
            break
    login.communicate(timeout=60)
    assert login.returncode == 0
    return home


@pytest.fixture(scope="session")
def signed_in(server: Server, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A home directory with the administrator's login."""
    return sign_in(server, tmp_path_factory.mktemp("signed-in"))


def make_key(home: pathlib.Path) -> str:
    """A machine's key that can write, created by the signed-in user."""
    output = subprocess.run(
        [COMMAND, "create", "api-key", "python-tests", "--role", "admin"],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        cwd=home,
        check=True,
        capture_output=True,
        text=True,
    )
    return (
        output.stdout.strip().rpartition("=")[2].strip('"')
        if "export" in output.stdout
        else output.stdout.strip()
    )


@pytest.fixture(scope="session")
def api_key(server: Server, signed_in: pathlib.Path) -> str:
    """A key of a machine that may write."""
    return make_key(signed_in)

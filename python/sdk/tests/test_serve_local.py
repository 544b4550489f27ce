"""`flyte serve --local` with both SDKs, and images that the command names."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from test_bridge import Bridge, decoded

from conftest import COMMAND, TARGET, eventually, free_port

# Our package is in the environment of the tests, the published one in that of the peers.
PYTHONS = {"ours": sys.executable, "published": str(TARGET / "peers/venv/bin/python")}

APPS = """
import http.server, os, sys

import flyte
from flyte.app import AppEnvironment

PORT = int(os.environ["WEB_PORT"])
command = AppEnvironment(
    name="command",
    image="python:3.12",
    command=[sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(PORT)],
    port=PORT,
)
server = AppEnvironment(name="server", image="python:3.12", port=PORT, env_vars={"NAME": "app"})
fails = AppEnvironment(name="fails", image="python:3.12", command="sh -c 'exit 7'", port=PORT)


@server.server
def serve() -> None:
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{os.environ['GREETING']} from an {os.environ['NAME']}".encode())

    http.server.HTTPServer(("127.0.0.1", PORT), Hello).serve_forever()
"""


@pytest.fixture(params=PYTHONS)
def project(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> tuple[pathlib.Path, dict[str, str]]:
    """A directory with the apps, and the environment of the command for one SDK."""
    (tmp_path / "web.py").write_text(APPS)
    port = str(free_port())
    python = PYTHONS[request.param]
    return tmp_path, {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "FLYTE_PYTHON": python,
        "WEB_PORT": port,
    }


@contextlib.contextmanager
def served(
    project: tuple[pathlib.Path, dict[str, str]], app: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the URL that it printed."""
    directory, environment = project
    with (directory / "said").open("w") as said:
        process = subprocess.Popen(
            [COMMAND, "serve", "--local", "-e", "GREETING=hello", "-o", "json", "web.py", app],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(4)]
        yield process, json.loads("".join(lines))["url"]
    except BaseException:
        print((directory / "said").read_text(), file=sys.stderr)
        raise
    finally:
        process.kill()
        process.communicate()


def page(url: str, path: str) -> str:
    with urllib.request.urlopen(url + path, timeout=10) as answer:
        return str(answer.read().decode())


def is_over(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError:
        return False
    except OSError:
        return True
    return False


def test_an_app_is_served_until_the_command_is_interrupted(
    project: tuple[pathlib.Path, dict[str, str]],
) -> None:
    with served(project, "server") as (process, url):
        assert page(url, "/") == "hello from an app"
        # The port is in use now.
        directory, environment = project
        command = [COMMAND, "serve", "--local", "web.py", "command"]
        second = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
        assert second.returncode == 1 and "of this machine is in use" in second.stderr, second
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert is_over(url)
    assert "Stopped app server." in (project[0] / "said").read_text()


def test_an_app_ends_with_the_command(project: tuple[pathlib.Path, dict[str, str]]) -> None:
    with served(project, "command") as (process, url):
        assert "web.py" in page(url, "/")
        process.kill()
        process.wait()
        eventually("the end of the app", lambda: is_over(url))


def test_an_app_that_fails_is_reported(project: tuple[pathlib.Path, dict[str, str]]) -> None:
    directory, environment = project
    command = [COMMAND, "serve", "--local", "web.py"]
    failed = subprocess.run(
        [*command, "fails"], cwd=directory, env=environment, capture_output=True, text=True
    )
    assert failed.returncode == 3 and "exit code 7" in failed.stderr, failed


def test_the_command_names_images(tmp_path: pathlib.Path) -> None:
    (tmp_path / "named.py").write_text(
        "import flyte\n\nenv = flyte.TaskEnvironment(name='named', image=flyte.Image.from_ref_name('gpu'))\n\n\n"
        "@env.task\nasync def main() -> None: ...\n"
    )
    bridge = Bridge(tmp_path)
    images = {"names": {"gpu": "registry/gpu:1"}, "builder": "local"}
    bridge.ask(do="describe", file=str(tmp_path / "named.py"), root=str(tmp_path), images=images)
    answer = bridge.ask(do="spec", task="named.main", version="1", sync_paths=False)
    container = decoded("flyteidl2.task.TaskSpec", answer["spec"])["taskTemplate"]["container"]
    assert container["image"] == "registry/gpu:1"
    assert "_F_SYS_PATH" not in base64.b64decode(answer["spec"]).decode(errors="replace")
    bridge.process.kill()
    bridge.process.communicate()

"""Machines without a place for a file, and sign-ins that others have left unfinished."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import COMMAND, Server, eventually

CALL = """
import sys
import flyte
import flyte.remote as remote
flyte.init(**__import__("json").loads(sys.argv[1]))
print([project.id for project in remote.Project.listall()])
"""


def call(
    environment: dict[str, str], directory: pathlib.Path, **parameters: object
) -> subprocess.CompletedProcess[str]:
    """A program that lists projects, in this environment and directory."""
    return subprocess.run(
        [sys.executable, "-c", CALL, json.dumps(parameters, default=str)],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("place", ["below a file", "no room", "a file in the way"])
def test_machine_needs_no_writable_directory(
    server: Server, api_key: str, signed_in: pathlib.Path, tmp_path: pathlib.Path, place: str
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environment = {"HOME": "/dev/null" if place == "below a file" else str(home)}
    if place == "a file in the way":
        (home / ".local").write_text("a file")
    token = subprocess.run(
        [COMMAND, "auth", "token"],
        env={"HOME": str(signed_in), "PATH": os.environ["PATH"]},
        cwd=signed_in,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    endpoint = {"endpoint": server.endpoint, "ca_cert_file_path": server.ca}
    for parameters in (
        {"api_key": api_key, "ca_cert_file_path": server.ca},
        {**endpoint, "auth_type": "ExternalCommand", "command": ["printf", "%s", token]},
    ):
        if place == "no room":
            # CPython ignores the signal of a file that grows beyond its limit.
            script = f'ulimit -f 0; exec {sys.executable} -c "$0" "$1"'
            output = subprocess.run(
                ["sh", "-c", script, CALL, json.dumps(parameters, default=str)],
                env={"PATH": os.environ["PATH"], **environment},
                cwd=work,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
            )
        else:
            output = call(environment, work, **parameters)
        assert output.returncode == 0, output.stderr
        assert "flytesnacks" in output.stdout
        assert output.stderr == ""
    assert list(work.iterdir()) == []


def test_unfinished_sign_in_is_named_and_not_waited_for(server: Server, tmp_path: pathlib.Path) -> None:
    environment = {
        "HOME": str(tmp_path),
        "FLYTE_ADMIN_ENDPOINT": server.endpoint,
        "FLYTE_ADMIN_CACERTFILEPATH": str(server.ca),
    }
    login = subprocess.Popen(
        [COMMAND, "--headless", "auth", "login"],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert login.stderr is not None
        while not login.stderr.readline().startswith("https://"):
            assert login.poll() is None
        parameters = {"endpoint": server.endpoint, "ca_cert_file_path": server.ca}
        output = call(environment, tmp_path, **parameters)
        assert f"process {login.pid} (flyte) is still signing in" in output.stderr, output.stderr
        os.kill(login.pid, signal.SIGSTOP)
        eventually(
            "the command is stopped", lambda: ") T" in pathlib.Path(f"/proc/{login.pid}/stat").read_text()
        )
        output = call(environment, tmp_path, **parameters)
        assert f"process {login.pid} (flyte) is suspended in the middle of a sign-in" in output.stderr, (
            output.stderr
        )
        assert f"kill -9 {login.pid}" in output.stderr
    finally:
        login.kill()
        login.wait()

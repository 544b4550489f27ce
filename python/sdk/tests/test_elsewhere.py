"""Tasks on a real server: deployed and started by this package and by the published one, run by this package's `a0` and by the
published one's, in all four combinations."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pathlib
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import conftest
import flyte
import flyte.errors
import flyte.remote
from conftest import TARGET, Server
from flyte._wire import decode
from flyte.types import TypeEngine

PACKAGES = {"ours": TARGET / "peers/ours", "published": TARGET / "peers/venv"}
PROJECT = pathlib.Path(__file__).parent / "project"


class Place:
    """A server whose tasks one of the packages runs, and a key for it."""

    def __init__(self, server: Server, directory: pathlib.Path) -> None:
        self.server = server
        self.directory = directory
        self.key = conftest.make_key(conftest.sign_in(server, directory / "home"))
        self.config = directory / "config.yaml"
        secret = directory / "secret"
        # A key is base64 of endpoint:client:secret:org, the endpoint with its port.
        parts = base64.b64decode(self.key).decode().split(":")
        secret.write_text(parts[3])
        self.config.write_text(
            f"admin:\n  endpoint: dns:///{server.endpoint}\n  authType: ClientSecret\n  clientId: {parts[2]}\n"
            f"  clientSecretLocation: {secret}\n  caCertFilePath: {server.ca}\n  disableKeyring: true\n"
            "task:\n  org: testing\n  project: flytesnacks\n  domain: development\nimage:\n  builder: local\n"
        )

    def drive(self, package: str, *arguments: str) -> str:
        """Has a package deploy or run something; what it prints."""
        environment = {
            "HOME": str(self.directory / "home"),
            "PATH": os.environ["PATH"],
            "UCTL_CONFIG": str(self.config),
            "FLYTECTL_CONFIG": str(self.config),
            # The published package's sign-in trusts the system's authorities alone.
            "SSL_CERT_FILE": str(self.server.ca),
        }
        run = subprocess.run(
            [PACKAGES[package] / "bin/python", str(self.project / "drive.py"), *arguments],
            env=environment,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, run.stderr[-4000:]
        return run.stdout.strip().splitlines()[-1]

    @property
    def project(self) -> pathlib.Path:
        """The tasks, away from this package's own directory."""
        target = self.directory / "project"
        if not target.exists():
            shutil.copytree(PROJECT, target, ignore=shutil.ignore_patterns("__pycache__"))
        return target

    def outcome(self, name: str) -> Any:
        """The run of this name, when it is done."""
        flyte.init_from_config(str(self.config))
        run = flyte.remote.Run.get(name)
        run.wait(quiet=True)
        return flyte.remote.Run.get(name)

    def outputs(self, name: str, *types: Any) -> tuple[Any, ...]:
        """What the run returned, of these types, as the server keeps it."""
        run = self.outcome(name)
        assert run.phase == "succeeded", (run.phase, self.describe(run))
        (path,) = [
            path for path in self.server.directory.rglob("outputs.pb") if {name, "a0"} <= set(path.parts)
        ][-1:]
        literals = decode("flyteidl2.task.Outputs", path.read_bytes())["literals"]
        return tuple(
            asyncio.run(TypeEngine.to_python_value(one["value"], python_type))
            for one, python_type in zip(literals, types, strict=True)
        )

    def describe(self, run: Any) -> str:
        """Why it ended as it did, and the server's last words."""
        details = flyte.remote.Run.get(run.name).details().to_dict()
        return json.dumps(details)[:3000] + (self.server.directory / "log").read_text()[-2000:]


@pytest.fixture(scope="module", params=["ours", "published"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server that runs tasks by one of the packages."""
    directory = tmp_path_factory.mktemp(f"by-{request.param}")
    (directory / "home").mkdir()
    (directory / "server").mkdir()
    with conftest.running(
        directory / "server",
        FLYTE_SERVER_RUNNER_PYTHON=str(PACKAGES[request.param]),
    ) as server:
        yield Place(server, directory)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_run_that_calls_tasks(place: Place, package: str) -> None:
    name = place.drive(package, "run", "flow.whole", json.dumps({"words": ["ab", "cde"]}))
    assert place.outputs(name, int, str, str) == (6, "AB,CDE", name)
    actions = list(flyte.remote.Action.listall(for_run_name=name))
    assert len(actions) == 6 and {action.phase for action in actions} == {"succeeded"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_task_that_blocks_maps(place: Place, package: str) -> None:
    name = place.drive(package, "run", "flow.mapped", json.dumps({"numbers": [1, 2, 3]}))
    assert place.outputs(name, list[int]) == ([1, 4, 9],)


@pytest.mark.parametrize("package", PACKAGES)
def test_parent_catches_the_error_of_a_child(place: Place, package: str) -> None:
    name = place.drive(package, "run", "flow.catching", "{}")
    assert place.outputs(name, str) == ("ValueError: of no value",)


@pytest.mark.parametrize("package", PACKAGES)
def test_retried_parent_finds_its_children(place: Place, package: str, tmp_path: pathlib.Path) -> None:
    name = place.drive(package, "run", "flow.second_time", json.dumps({"directory": str(tmp_path)}))
    assert place.outputs(name, str) == ("3",)
    assert len(list(flyte.remote.Action.listall(for_run_name=name))) == 2


@pytest.mark.parametrize("package", PACKAGES)
def test_failed_run_has_its_error(place: Place, package: str) -> None:
    name = place.drive(package, "run", "flow.broken", json.dumps({"how": "never"}))
    run = place.outcome(name)
    assert run.phase == "failed"
    assert "it never will" in json.dumps(run.details().to_dict())


@pytest.mark.parametrize("package", PACKAGES)
def test_deployed_tasks_are_listed(place: Place, package: str) -> None:
    place.drive(package, "deploy", "flow.whole", "{}")
    flyte.init_from_config(str(place.config))
    names = {task.name for task in flyte.remote.Task.listall(project="flytesnacks", domain="development")}
    assert {"flow.whole", "flow.item", "flow.square"} <= names


def test_a_deployed_task_is_run_by_its_name(place: Place) -> None:
    place.drive("ours", "deploy", "flow.whole", "{}")
    flyte.init_from_config(str(place.config))
    task = flyte.remote.Task.get("flow.item", auto_version="latest")
    run = flyte.with_runcontext(name="by-name").run(task, name="deployed", size=4)
    assert run.name == "by-name"
    with pytest.raises(TypeError, match="size is missing"):
        flyte.run(task, name="deployed")
    run.wait(quiet=True)
    assert place.outcome("by-name").phase == "succeeded"


def test_server_fixture_stops_all_processes(tmp_path: pathlib.Path) -> None:
    for name in ("home", "server"):
        (tmp_path / name).mkdir()
    with conftest.running(tmp_path / "server", FLYTE_SERVER_RUNNER_PYTHON=str(PACKAGES["ours"])) as server:
        Place(server, tmp_path).drive("ours", "serve", "web.env", "{}")
        pids = conftest.eventually("the app", server.supervisors, 90)
        children = subprocess.run(
            ["pgrep", "-P", str(pids[0])], capture_output=True, text=True
        ).stdout.split()
    assert not server.supervisors()
    assert not [pid for pid in children if pathlib.Path("/proc", pid).exists()]


def test_an_app_is_served(place: Place) -> None:
    """Served by this package's `fserve`; the published one is started in the same way."""
    place.drive("ours", "serve", "web.env", "{}")
    flyte.init_from_config(str(place.config))

    def answer() -> bytes | None:
        url = flyte.remote.App.get("web").endpoint
        if not url:
            return None
        with urllib.request.urlopen(f"{url}/hello", timeout=5) as answered:
            return bytes(answered.read())

    assert conftest.eventually("the app", answer, 90) == b"/HELLO"

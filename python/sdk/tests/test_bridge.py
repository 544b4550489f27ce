"""What the `flyte` command asks Python, and the specs of tasks as the published package writes them."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parents[3] / "target"))
PROJECT = pathlib.Path(__file__).parent / "project"
# The command has these texts in itself.
SOURCES = pathlib.Path(__file__).parents[3] / "crates/flyte-cli/src/bridge"


class Bridge:
    """A bridge, by lines."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", (SOURCES / "start.py").read_text()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
        )
        texts = {f"flyte_bridge.{file.stem}": file.read_text() for file in SOURCES.glob("*.py")}
        self.say(**{"flyte_bridge": "", **texts})

    def say(self, **request: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, **request: Any) -> Any:
        self.say(**request)
        return self.hear()


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge(PROJECT)
    yield bridge
    bridge.process.kill()
    bridge.process.communicate()


def decoded(message: str, text: str) -> Any:
    from flyte._wire import decode

    return decode(message, base64.b64decode(text))


def test_a_file_is_described(bridge: Bridge) -> None:
    environments = bridge.ask(do="describe", file="app.py", root=str(PROJECT))["environments"]
    assert [one["name"] for one in environments] == ["hello", "other"]
    assert environments[0]["own"] and environments[1]["depends_on"] == ["hello"]
    main = environments[0]["tasks"][0]
    assert (main["name"], main["function"], main["docs"]) == (
        "hello.main",
        "main",
        "Says hello.\n\nAnd more.",
    )
    x, name, maybe = main["inputs"]
    assert x == {
        "name": "x",
        "type": {"simple": "INTEGER"},
        "python_type": "int",
        "required": True,
        "help": "a number",
        "is_list": False,
    }
    assert (name["default"], name["help"]) == ("w", "a name")
    assert (maybe["python_type"], maybe["default"]) == ("int | None", "none")
    assert main["outputs"] == [{"name": "o0", "type": {"simple": "STRING"}, "python_type": "str"}]


def test_output_of_a_file_is_not_an_answer(bridge: Bridge, tmp_path: pathlib.Path) -> None:
    (tmp_path / "loud.py").write_text(
        "import os, sys, flyte\nprint('{}')\nos.system('echo from a program')\nassert sys.stdin.read() == ''\n"
        "env = flyte.TaskEnvironment(name='loud')\n"
        "@env.task\ndef shout(word: str) -> str:\n    print('one'); print('two', end='')\n    return word.upper()\n"
    )
    answer = bridge.ask(do="describe", file=str(tmp_path / "loud.py"))
    assert [one["name"] for one in answer["environments"]] == ["loud"]
    bridge.say(do="run_local", task="shout", values={"word": "hi"})
    assert bridge.hear() == {"log": {"stream": "stdout", "text": "one"}}
    assert bridge.hear() == {"log": {"stream": "stdout", "text": "two"}}
    assert bridge.hear() == {"outputs": {"o0": "HI"}}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import nothing_of_the_kind\n", "No module named 'nothing_of_the_kind'"),
        ("def f(:", "invalid syntax"),
        ("raise SystemExit(3)", "SystemExit"),
        ("import flyte\nenv = flyte.TaskEnvironment(name='Not Good')", "small letters"),
    ],
)
def test_a_file_that_cannot_be_imported(
    bridge: Bridge, tmp_path: pathlib.Path, code: str, expected: str
) -> None:
    (tmp_path / "broken.py").write_text(code)
    error = bridge.ask(do="describe", file=str(tmp_path / "broken.py"))["error"]
    assert expected in error["message"], error
    assert "site-packages" not in error.get("traceback", "") and "importlib" not in error.get("traceback", "")


def test_inputs_are_encoded(bridge: Bridge) -> None:
    bridge.ask(do="describe", file="app.py", root=str(PROJECT))
    inputs = decoded(
        "flyteidl2.task.Inputs", bridge.ask(do="inputs", task="main", values={"x": "7"})["inputs"]
    )
    assert [one["name"] for one in inputs["literals"]] == ["x", "name", "y"]
    assert inputs["literals"][0]["value"] == {"scalar": {"primitive": {"integer": "7"}}}
    for values, field in (
        ({"x": "7.5"}, "x"),
        ({}, "x"),
        ({"x": "1", "z": "1"}, "z"),
        ({"x": ["1", "2"]}, "x"),
    ):
        assert bridge.ask(do="inputs", task="hello.main", values=values)["error"]["field"] == field


def test_files_are_uploaded_by_the_command(bridge: Bridge, tmp_path: pathlib.Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("data")
    bridge.ask(do="describe", file="app.py", root=str(PROJECT))
    bridge.say(do="inputs", task="read", values={"file": str(data)})
    upload = {"path": str(data), "name": "data.txt", "directory": False, "root": ""}
    assert bridge.hear() == {"upload": upload}
    bridge.process.stdin.write('{"uri": "s3://bucket/data.txt"}\n')  # type: ignore[union-attr]
    bridge.process.stdin.flush()  # type: ignore[union-attr]
    inputs = decoded("flyteidl2.task.Inputs", bridge.hear()["inputs"])
    assert inputs["literals"][0]["value"]["scalar"]["blob"]["uri"] == "s3://bucket/data.txt"
    assert "is there" in bridge.ask(do="inputs", task="read", values={"file": "no/such"})["error"]["message"]


def test_specs_are_the_published_ones(bridge: Bridge) -> None:
    """All but the version of the package, and the documentation, which the published one adds at another place."""
    run = subprocess.run(
        [TARGET / "peers/venv/bin/python", "published_specs.py"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    published = {spec["taskTemplate"]["id"]["name"]: spec for spec in json.loads(run.stdout)}
    bridge.ask(do="describe", file="app.py", root=str(PROJECT))
    where = {"version": "v1", "project": "p", "domain": "d", "org": "o", "bundle": "file:///b.tgz"}
    for one in bridge.ask(do="specs", **where)["specs"]:
        spec = decoded("flyteidl2.task.TaskSpec", one["spec"])
        theirs = published.pop(one["task"])
        for each in (spec, theirs):
            del each["taskTemplate"]["metadata"]["runtime"]["version"]
        container = spec["taskTemplate"]["container"]
        # A variable has the import paths; the published package adds it when it deploys.
        container["env"].remove({"key": "_F_SYS_PATH", "value": "./."})
        if not container["env"]:
            del container["env"]
        spec.pop("documentation")
        spec["environment"].pop("description", None)
        for entry in spec["taskTemplate"]["interface"]["inputs"].get("variables", []):
            entry["value"].pop("description", None)
        assert spec == theirs
    assert not published


def test_settings_without_effect_are_said_to_the_user(tmp_path: pathlib.Path) -> None:
    (tmp_path / "reused.py").write_text(
        'import flyte\n\nenv = flyte.TaskEnvironment(name="reused", reusable=flyte.ReusePolicy())\n\n\n'
        "@env.task\nasync def main() -> None: ...\n"
    )
    bridge = Bridge(tmp_path)
    bridge.ask(do="describe", file=str(tmp_path / "reused.py"), root=str(tmp_path))
    assert bridge.ask(do="spec", task="reused.main", version="1")["task"] == "reused.main"
    assert len(bridge.ask(do="specs", version="1")["specs"]) == 1
    _, said = bridge.process.communicate(timeout=60)
    assert said.count("ReusePolicy of the environment reused has no effect") == 1

"""The package as people get it: quick to import, typed, installable."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import flyte
from conftest import ROOT, TARGET

# The directories of both packages.
SOURCES = os.pathsep.join(str(ROOT / "python" / package) for package in ("auth", "sdk"))

# Names of the published package that people write, with the types that an editor shows.
SAMPLE = """
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import flyte
import flyte.remote as remote
from flyte.remote import ApiKey, Project, Run, Task, TaskDetails, User

flyte.init(endpoint="dns:///example.com", headless=True, project="p", domain="d")
flyte.init_from_config()
flyte.init_from_config("/path/to/config.yaml")
flyte.init(api_key="key")
assert_type([t for t in remote.Task.listall(project="flytesnacks", domain="development")], list[Task])
assert_type(Project.listall(), Iterator[Project])
assert_type(Project.get("p"), Project)
assert_type(Project.get("p").archive(), Project)
run = Run.get("r")
assert_type(run, Run)
assert_type(run.wait(), None)
assert_type(run.phase, str)
assert_type(Task.get("t", auto_version="latest").fetch(), TaskDetails)
assert_type(ApiKey.create("name").key, str)
assert_type(User.get().subject(), str)


async def awaited() -> None:
    await flyte.init_from_config.aio()
    assert_type(await Project.get.aio("p"), Project)
    assert_type(Task.listall.aio(), AsyncIterator[Task])
    async for details in run.watch.aio():
        assert_type(details.error_message, str)
    await run.abort.aio(reason="why")


flyte.init(end_point="x")  # type: ignore[call-arg]
Project.get(1)  # type: ignore[arg-type]
run.abort(why=1)  # type: ignore[call-arg]
"""


def python(*arguments: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    output = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=300
    )
    assert output.returncode == 0, output.stderr + output.stdout
    return output.stdout


def test_import_is_fast() -> None:
    program = (
        "import sys, time; before = set(sys.modules); began = time.process_time(); import flyte; "
        "print(time.process_time() - began, *sorted(set(sys.modules) - before))"
    )
    output = [python("-c", program).split() for _ in range(5)]
    # The machine may be busy: what counts is the processor's time, of the quickest run.
    assert min(float(words[0]) for words in output) < 0.020
    brought = set(output[0][1:])
    assert not brought & {
        "typing",
        "asyncio",
        "json",
        "inspect",
        "dataclasses",
        "flyte_auth._native",
        "pydantic",
        "rich",
    }, brought


def test_blocking_calls_need_no_event_loop() -> None:
    # It takes longer to import than all of this package.
    program = "import sys, flyte, flyte.remote; flyte.init(endpoint='h'); flyte.remote.Task; print('asyncio' in sys.modules)"
    assert python("-c", program) == "False\n"


def test_all_public_names_exist() -> None:
    for module in (flyte, flyte.remote, flyte.config, flyte.errors):
        for name in getattr(module, "__all__", []):
            assert getattr(module, name) is not None, name
            assert name in dir(module)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        flyte.absent  # noqa: B018


def test_an_editor_knows_its_types(tmp_path: pathlib.Path) -> None:
    sample = (
        SAMPLE
        if sys.version_info >= (3, 11)
        else SAMPLE.replace("from typing import assert_type", "from typing_extensions import assert_type")
    )
    (tmp_path / "sample.py").write_text(sample)
    cache = TARGET / "tmp/mypy-sample"
    python(
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(cache),
        str(tmp_path / "sample.py"),
        MYPYPATH=SOURCES,
    )


def test_the_stub_is_what_the_native_half_has(tmp_path: pathlib.Path) -> None:
    python("-m", "mypy.stubtest", "flyte_auth._native", MYPYPATH=SOURCES)

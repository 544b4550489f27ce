"""Blocking calls: other threads run meanwhile, Ctrl-C ends them, and they work in event loops and forked children."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import flyte
from conftest import Server
from flyte import errors, remote


@pytest.fixture
def initialized(api_key: str, server: Server, home: pathlib.Path) -> None:
    flyte.init(api_key=api_key, ca_cert_file_path=server.ca)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections but never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def first_project() -> str:
    return next(remote.Project.listall()).id


@pytest.mark.usefixtures("initialized")
def test_many_threads_call_at_once() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(first_project())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == ["flytesnacks"] * 16


def fails() -> None:
    with pytest.raises(errors.FlyteError):
        first_project()


def test_other_threads_run_while_one_waits(silent: str, home: pathlib.Path) -> None:
    flyte.init(endpoint=silent, insecure=True)
    thread = threading.Thread(target=fails, daemon=True)
    thread.start()
    began, turns = time.monotonic(), 0
    while time.monotonic() - began < 0.3:
        turns += 1
        time.sleep(0.001)
    assert thread.is_alive() and turns > 20


CTRL_C = """
import signal, sys, threading, os, time
import flyte
from flyte import remote
# What a shell starts in the background ignores it, and so does all that this starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
flyte.init(endpoint=sys.argv[1], insecure=True)
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
began = time.monotonic()
try:
    list(remote.Project.listall())
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began)
"""


def test_ctrl_c_ends_a_call_at_once(silent: str, home: pathlib.Path) -> None:
    output = subprocess.run(
        [sys.executable, "-c", CTRL_C, silent], capture_output=True, text=True, timeout=60
    )
    assert output.stdout.startswith("interrupted"), output.stderr
    assert float(output.stdout.split()[1]) < 2


@pytest.mark.usefixtures("initialized")
def test_a_forked_child_calls_too() -> None:
    assert first_project() == "flytesnacks"
    # Also while other threads are in the middle of calls.
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            first_project()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                try:
                    os._exit(0 if first_project() == "flytesnacks" else 1)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert first_project() == "flytesnacks"


@pytest.mark.usefixtures("initialized")
def test_awaited_forms_leave_the_loop_running() -> None:
    async def work() -> tuple[list[str], int]:
        turns = 0

        async def tick() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        found = await asyncio.gather(*(remote.Project.get.aio("flytesnacks") for _ in range(8)))
        ticking.cancel()
        return [project.id for project in found], turns

    found, turns = asyncio.run(work())
    assert found == ["flytesnacks"] * 8 and turns > 8


@pytest.mark.usefixtures("initialized")
def test_blocking_forms_work_inside_a_running_loop() -> None:
    async def cell() -> str:
        return first_project()

    assert asyncio.run(cell()) == "flytesnacks"


def test_a_cancelled_call_ends(silent: str, home: pathlib.Path) -> None:
    async def work() -> None:
        await flyte.init.aio(endpoint=silent, insecure=True)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(remote.Project.get.aio("x"), 0.3)

    began = time.monotonic()
    asyncio.run(work())
    assert time.monotonic() - began < 5


def test_unreachable_server_is_an_error(home: pathlib.Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    flyte.init(endpoint=f"127.0.0.1:{port}", insecure=True)
    with pytest.raises(errors.UnavailableError) as raised:
        first_project()
    text = str(raised.value)
    assert (
        text.startswith(f"cannot list projects: cannot reach http://127.0.0.1:{port}/")
        and "\n  next: " in text
    )


AT_ITS_END = """
import asyncio, sys
import flyte
from flyte import errors, remote

async def main():
    await flyte.init.aio(endpoint=sys.argv[1], insecure=True)
    try:
        await remote.Project.get.aio("x")
    except errors.UnavailableError:
        print("output")

asyncio.run(main())
"""


def test_an_interpreter_ends_well_right_after_a_call(home: pathlib.Path) -> None:
    # A thread of ours that is still at it when the interpreter ends must not be caught within it.
    for _ in range(15):
        program = [sys.executable, "-c", AT_ITS_END, "127.0.0.1:9"]
        output = subprocess.run(program, capture_output=True, text=True, timeout=60)
        assert (output.returncode, output.stdout) == (0, "output\n"), output

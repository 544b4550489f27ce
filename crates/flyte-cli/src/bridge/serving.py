"""Serves an app on this machine: in the bridge's own process, or as a child of it."""

from __future__ import annotations

import _thread
import http.client
import os
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flyte_bridge.protocol import Message, Refused

if TYPE_CHECKING:
    from flyte_bridge.protocol import Bridge

HOST = "localhost"
# The path of the published SDK's own check. Any answer counts, also that there is no such page.
HEALTH = "/health"
# The time between two looks, in seconds.
INTERVAL = 0.1
# How long a request of the check can take, in seconds.
TIMEOUT = 2
# How long an app can take to stop, in seconds.
GRACE = 5
# How often the main thread is interrupted, a second apart: asyncio takes the first interrupt for itself.
INTERRUPTS = 2


def serve(bridge: Bridge, environment: Any, variables: dict[str, str]) -> Message:
    """Serves an app until it ends, the user interrupts it, or the command closes the input."""
    adapter = bridge.adapter()
    port = adapter.port_of(environment)
    if _listens(port):
        raise Refused(f"port {port} of this machine is in use")
    os.chdir(bridge.root)
    os.environ.update({"PORT": str(port), **(environment.env_vars or {}), **variables})
    ended = threading.Event()
    for work in (_announce, _stop_with_the_command):
        threading.Thread(target=work, args=(bridge, port, ended), daemon=True).start()
    try:
        return {"exit_code": adapter.serve_locally(environment)}
    except KeyboardInterrupt:
        return {"exit_code": None}
    finally:
        ended.set()


def run(command: Sequence[str]) -> int:
    """Runs a command until it ends, and returns its exit code."""
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise Refused(f"{command[0]} cannot be started: {error.strerror}") from None
    try:
        # The interrupt of another thread does not end a wait for a process.
        while (code := process.poll()) is None:
            time.sleep(INTERVAL)
        return code
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), TIMEOUT).close()
    except OSError:
        return False
    return True


def _announce(bridge: Bridge, port: int, ended: threading.Event) -> None:
    """Sends the URL once the app answers."""
    while not ended.wait(INTERVAL):
        connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
        try:
            connection.request("GET", HEALTH)
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
        if not ended.is_set():
            bridge.send({"serving": {"url": f"http://{HOST}:{port}"}})
        return


def _stop_with_the_command(bridge: Bridge, _: int, ended: threading.Event) -> None:
    """Interrupts the app if the command closes the input, also by being killed."""
    while bridge.requests.readline():
        pass
    for _ in range(INTERRUPTS):
        # A terminal interrupts this process too.
        if ended.wait(1):
            return
        _thread.interrupt_main()
    if not ended.wait(2 * GRACE):
        os._exit(1)

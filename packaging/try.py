#!/usr/bin/env python3
"""Tries the binaries of a directory as the page "Install" describes: try.py DIRECTORY VERSION

Both show VERSION. The server starts with no settings except a free port and a data directory, is healthy, and the command that it
prints for clients works. It stops with the exit code 0."""

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEADLINE_SECONDS = 120


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=environment["HOME"], capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    if done.returncode:
        sys.exit(f"try.py: {shlex.join(command)} failed: {done.stderr or done.stdout}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def serve(server: Path, home: Path, environment: dict[str, str]) -> None:
    listen, data = f"127.0.0.1:{free_port()}", home / "data"
    settings = ["--listen", listen, "--data-dir", str(data), "--log-format", "json"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen([server, *settings], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + DEADLINE_SECONDS
        while subprocess.run([server, "health", "--ready", *settings], env=environment, capture_output=True).returncode:
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"try.py: the server did not start: {(home / 'log').read_text()}")
            time.sleep(0.1)
        lines = [json.loads(line) for line in (home / "log").read_text().splitlines() if line.startswith("{")]
        commands = [line["command"] for line in lines if "command" in line]
        if len(commands) != 1:
            sys.exit(f"try.py: no command for clients in {lines}")
        print(f"$ {commands[0]}")
        run(shlex.split(commands[0]), environment)
        process.terminate()
        if process.wait(DEADLINE_SECONDS) != 0:
            sys.exit(f"try.py: the server stopped with {process.returncode}: {(home / 'log').read_text()}")
    finally:
        process.kill()


def main(directory: Path, version: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        environment = {"HOME": str(home), "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}
        if "SYSTEMROOT" in os.environ:
            environment |= {"SYSTEMROOT": os.environ["SYSTEMROOT"], "USERPROFILE": str(home)}
        for name in ("flyte", "flyte-server"):
            binary = next((path for path in (directory / name, directory / f"{name}.exe") if path.is_file()), None)
            if binary is None:
                continue
            shown = run([str(binary), "--version"], environment).strip()
            if shown != f"{name} {version}":
                sys.exit(f"try.py: {binary} shows {shown!r}, not {name} {version}")
            print(shown)
            # Without its manifest, Windows refuses paths of more than 260 characters.
            if binary.suffix == ".exe" and b"longPathAware" not in binary.read_bytes():
                sys.exit(f"try.py: {binary} has no manifest")
            if name == "flyte-server":
                serve(binary, home, environment)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])

#!/usr/bin/env python3
"""Starts a root directory as a container does: try-image.py ROOTFS VERSION

The server runs as the process 1 of its own namespaces (mounts, processes, network), as the user and with the variables of
Containerfile, and with a read-only root. There, its health check works, a second user works, and SIGTERM ends it with 0."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEADLINE_SECONDS = 120
# Its full path: the container's variables have no PATH.
CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"


def container_file() -> tuple[str, dict[str, str], list[str]]:
    """The user, the variables and the health check of Containerfile."""
    text = Path("Containerfile").read_text().replace("\\\n", " ")
    user = re.search(r"^USER (\d+):0$", text, re.M)
    variables = re.search(r"^ENV (.*)$", text, re.M)
    check = re.search(r'^HEALTHCHECK .* CMD \[(.*)\]$', text, re.M)
    if not (user and variables and check):
        sys.exit("try-image.py: Containerfile has no USER, ENV or HEALTHCHECK")
    return user[1], dict(pair.split("=", 1) for pair in shlex.split(variables[1])), re.findall('"([^"]*)"', check[1])


def command(rootfs: Path, data: Path, user: str, arguments: list[str]) -> list[str]:
    """Runs in new namespaces; chroot(1) drops to the user after it has changed the root."""
    script = (
        'ip link set lo up && mount --bind "$0" "$0" && mount --bind "$1" "$0/data" && mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"'
        ' && mount -o remount,bind,ro "$0" && root=$0 && shift'
        f' && exec env -i $VARIABLES {CHROOT} --userspec {user}:0 --groups=0 "$root" "$@"'
    )
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--"]
    return [*unshare, "sh", "-ec", script, str(rootfs), str(data), *arguments]


def inside(process: int) -> list[str]:
    return ["nsenter", "--target", str(process), "--mount", "--net", "--pid"]


def try_user(rootfs: Path, version: str, user: str, variables: dict[str, str], check: list[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        data, log_path = Path(temporary) / "data", Path(temporary) / "log"
        data.mkdir()
        data.chmod(0o1777)
        os.chmod(temporary, 0o755)
        environment = os.environ | {"VARIABLES": " ".join(f"{name}={value}" for name, value in variables.items())}
        shown = subprocess.run(
            command(rootfs, data, user, ["/usr/bin/flyte-server", "--version"]),
            env=environment, capture_output=True, text=True,
        )
        if shown.stdout.strip() != f"flyte-server {version}":
            sys.exit(f"try-image.py: {shown.stdout}{shown.stderr}")
        with log_path.open("w") as log:
            outer = subprocess.Popen(
                command(rootfs, data, user, ["/usr/bin/flyte-server"]), env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        try:
            end = time.monotonic() + DEADLINE_SECONDS
            healthy = False
            while not healthy:
                if outer.poll() is not None or time.monotonic() > end:
                    sys.exit(f"try-image.py: the server did not start: {log_path.read_text()}")
                time.sleep(0.1)
                children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
                if not children:
                    continue
                server = int(children[0])
                # As a container runtime runs it: the same root, user and variables.
                probe = [*inside(server), "env", "-i", *[f"{n}={v}" for n, v in variables.items()],
                         CHROOT, "--userspec", f"{user}:0", "--groups=0", str(rootfs), *check]
                done = subprocess.run(probe, capture_output=True, text=True)
                healthy = done.returncode == 0
            uid = Path(f"/proc/{server}/status").read_text().split("Uid:")[1].split()[0]
            if uid != user:
                sys.exit(f"try-image.py: the server runs as {uid}")
            os.kill(server, signal.SIGTERM)
            if outer.wait(DEADLINE_SECONDS) != 0:
                sys.exit(f"try-image.py: the server stopped with {outer.returncode}: {log_path.read_text()}")
        finally:
            outer.kill()
        print(f"user {user}: started, healthy, stopped; {sum(1 for _ in data.rglob('*'))} files in /data")


def main(rootfs: Path, version: str) -> None:
    user, variables, check = container_file()
    # Kubernetes distributions choose the user themselves.
    for user_id in (user, "1000650000"):
        try_user(rootfs, version, user_id, variables, check)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])

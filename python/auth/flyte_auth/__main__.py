"""`python -m flyte_auth`: the `flyte-auth` command, wherever the installer put it."""

from __future__ import annotations

import os
import subprocess
import sys

from flyte_auth._find import find_command


def main() -> None:
    """Runs the command with this program's arguments, and exits with its exit code."""
    try:
        command = find_command()
    except FileNotFoundError as error:
        sys.exit(f"Error: {error}")
    arguments = [str(command), *sys.argv[1:]]
    if sys.platform == "win32":
        # There is no way to become another program.
        sys.exit(subprocess.run(arguments, check=False).returncode)
    os.execv(command, arguments)


if __name__ == "__main__":
    main()

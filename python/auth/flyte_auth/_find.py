"""Finds the `flyte-auth` command that was installed with this package."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

NAME = "flyte-auth" + (sysconfig.get_config_var("EXE") or "")


def _directories() -> list[Path]:
    """The directories in which installers put commands, the likeliest first."""
    package = Path(__file__).resolve().parent
    directories = [
        # The active environment.
        sysconfig.get_path("scripts"),
        # The interpreter that an environment was made of.
        sysconfig.get_path("scripts", vars={"base": sys.base_prefix}),
        # `pip install --user`.
        sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")),
        # `pip install --target DIRECTORY`: the package is DIRECTORY/flyte_auth.
        package.parent / "bin",
    ]
    # `pip install --prefix PREFIX`, and environments that are layered on others (`uv run --with`).
    if os.name == "nt" and package.parent.name.lower() == "site-packages":
        directories.append(package.parent.parent.parent / "Scripts")
    elif package.parent.name in ("site-packages", "dist-packages"):
        directories.extend(parent / "bin" for parent in list(package.parents)[2:5])
    return [Path(str(directory)) for directory in directories]


def find_command() -> Path:
    """The path of the command.

    Raises `FileNotFoundError`, which names the directories, if it is in none of them.
    """
    directories = list(dict.fromkeys(_directories()))
    for directory in directories:
        if (directory / NAME).is_file():
            return directory / NAME
    looked = ", ".join(map(str, directories))
    raise FileNotFoundError(
        f"the command {NAME} is in none of these directories: {looked}. Install flyte-auth again: pip install --force-reinstall flyte-auth"
    )

"""The build backend of the wheel (PEP 517): maturin, and the `flyte-auth` command in the wheel's scripts.

The command is the Rust binary `flyte` under another name. Maturin builds one crate for each wheel, so this builds the binary first and
puts it where maturin takes files for the wheel's `.data` directory.

To build with maturin itself, for example for another platform, run this file first:

    python python/auth/build/flyte_auth_build.py [--profile PROFILE] [--target TARGET]

`FLYTE_AUTH_COMMAND` names a binary that is built already, for example the one of a release. The wheel then also has the licences of other
projects that are beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import maturin
from maturin import *  # noqa: F403

PACKAGE = Path(__file__).resolve().parents[1]
WORKSPACE = PACKAGE.parents[1]
DATA = PACKAGE / "flyte_auth.data"
SCRIPTS = DATA / "scripts"
DOCUMENTS = DATA / "data/share/doc/flyte-auth"
LICENSES = "THIRD-PARTY-LICENSES"


def add_command(arguments: list[str]) -> None:
    """Puts the command into the wheel's data."""
    built = os.environ.get("FLYTE_AUTH_COMMAND")
    binary = Path(built) if built else build_command(arguments)
    shutil.rmtree(DATA, ignore_errors=True)
    SCRIPTS.mkdir(parents=True)
    script = SCRIPTS / f"flyte-auth{binary.suffix}"
    # Linked rather than copied if that is possible.
    try:
        os.link(binary, script)
    except OSError:
        shutil.copy2(binary, script)
    licenses = binary.parent / LICENSES
    if built and licenses.is_file():
        DOCUMENTS.mkdir(parents=True)
        shutil.copyfile(licenses, DOCUMENTS / LICENSES)


def build_command(arguments: list[str]) -> Path:
    """Builds the binary. Of maturin's arguments, those that choose what is built count."""
    if not (WORKSPACE / "crates/flyte-cli").is_dir():
        sys.exit("flyte-auth is built from a checkout of its repository: pip install ./python/auth")
    build = [
        "cargo",
        "build",
        "--package",
        "flyte-cli",
        "--bin",
        "flyte",
        "--message-format",
        "json-render-diagnostics",
    ]
    chosen = False
    given = iter(arguments)
    for argument in given:
        name, _, value = argument.partition("=")
        if name in ("--profile", "--target"):
            build += [name, value or next(given)]
            chosen |= name == "--profile"
        elif name in ("--locked", "--frozen", "--offline"):
            build.append(name)
        elif name in ("--release", "-r"):
            build.append("--release")
            chosen = True
    if not chosen:
        build.append("--release")
    # Maturin brings a Rust toolchain if there is none.
    environment = getattr(maturin, "_get_env", lambda: None)()
    output = subprocess.run(
        build, cwd=WORKSPACE, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    (binary,) = (
        Path(message["executable"])
        for message in messages
        if message.get("reason") == "compiler-artifact"
        and message.get("executable")
        and message["target"]["name"] == "flyte"
    )
    return binary


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Builds the wheel with the command in it."""
    add_command(maturin.get_maturin_pep517_args(config_settings))
    return str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """The same for `pip install --editable`."""
    add_command(maturin.get_maturin_pep517_args(config_settings))
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: dict[str, Any] | None = None
) -> str:
    """Writes the metadata. Maturin wants the directory of the data for it."""
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    return str(maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


if __name__ == "__main__":
    add_command(sys.argv[1:])

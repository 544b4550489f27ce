#!/usr/bin/env python3
"""Lays out a directory that adds flyte-auth to any environment by PYTHONPATH: its package, and the metadata that a wheel would have.

    tests/peers/beside-sdk.py DIRECTORY
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = ROOT / "python/auth/pyproject.toml"

directory = pathlib.Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)
link = directory / "flyte_auth"
if not link.exists():
    link.unlink(missing_ok=True)
    link.symlink_to(ROOT / "python/auth/flyte_auth")
version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
metadata = directory / f"flyte_auth-{version}.dist-info"
metadata.mkdir(exist_ok=True)
(metadata / "METADATA").write_text(f"Metadata-Version: 2.4\nName: flyte-auth\nVersion: {version}\n")
# Python 3.10 has no reader for TOML. The sections are written the same in both files.
entry_points, section = [], None
for line in PROJECT.read_text().splitlines():
    if line.startswith("["):
        section = re.fullmatch(r'\[project\.entry-points\."(.*)"\]', line)
        if section:
            entry_points.append(f"[{section[1]}]")
    elif section and "=" in line:
        entry_points.append(line.replace('"', ""))
(metadata / "entry_points.txt").write_text("\n".join(entry_points) + "\n")

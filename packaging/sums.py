#!/usr/bin/env python3
"""Writes SHA256SUMS, the checksums of the files in a directory: sums.py DIRECTORY

In the format of `sha256sum`, which macOS does not have."""

import hashlib
import sys
from pathlib import Path


def main(directory: Path) -> None:
    sums = directory / "SHA256SUMS"
    lines = []
    for path in sorted(directory.iterdir()):
        if path.is_file() and path != sums:
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    sums.write_bytes("".join(lines).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))

#!/usr/bin/env python3
"""Packs a directory: archive.py DIRECTORY ARCHIVE

The archive is a .tar.gz or a .zip, by its name, with one directory in it, named as DIRECTORY. The same files give the same bytes:
entries are sorted, belong to root, and have the time SOURCE_DATE_EPOCH. It runs on every system that builds releases, whose `tar`
commands differ."""

import gzip
import io
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path

PROGRAMS = ("flyte", "flyte-server", "flyte.exe")


def mode(path: Path) -> int:
    """The permissions of a file in the archive. Windows has none to copy."""
    return 0o755 if path.is_dir() or path.name in PROGRAMS else 0o644


def tar(directory: Path, entries: list[Path], moment: int) -> bytes:
    packed = io.BytesIO()
    # GNU's format has no times with fractions; gzip's header gets no name and no time.
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in entries:
            info = tarfile.TarInfo(path.relative_to(directory.parent).as_posix())
            info.mtime, info.mode = moment, mode(path)
            info.uname = info.gname = "root"
            if path.is_dir():
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(info, file)
    return gzip.compress(packed.getvalue(), mtime=0)


def pack_zip(directory: Path, entries: list[Path], moment: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in entries:
            if path.is_dir():
                continue
            # ZIP knows no time before 1980.
            date = time.gmtime(max(moment, 315_532_800))[:6]
            info = zipfile.ZipInfo(path.relative_to(directory.parent).as_posix(), date)
            info.create_system, info.external_attr = 3, (0o100000 | mode(path)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    return packed.getvalue()


def main(directory: str, archive: str) -> None:
    root = Path(directory).resolve()
    entries = [root, *sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix())]
    moment = int(os.environ["SOURCE_DATE_EPOCH"])
    pack = pack_zip if archive.endswith(".zip") else tar
    Path(archive).write_bytes(pack(root, entries, moment))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Uploads files for tasks, to the location that the control plane chooses."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from flyte import storage

_DATA_PROXY = "flyteidl2.dataproxy.DataProxyService"
# Seconds until an upload without progress fails.
_PATIENCE = 300
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


async def upload(what: bytes | pathlib.Path, name: str, where: Mapping[str, str], below: str = "") -> str:
    """Uploads a file, a directory or bytes to a project and domain, and returns its URL there.

    `below` is the path that it is put under. Raises StorageError if it cannot be sent, an error of `flyte.errors` if the control
    plane takes none.
    """
    if isinstance(what, pathlib.Path) and what.is_dir():
        return await _upload_directory(what, name, where)
    length, md5 = await asyncio.to_thread(_measured, what)
    request: dict[str, Any] = {
        **where,
        "filename": name,
        "contentMd5": base64.b64encode(md5).decode(),
        "contentLength": str(length),
        "addContentMd5Metadata": True,
    }
    if below:
        request["filenameRoot"] = below
    from flyte._initialize import session

    place = await session().call(f"{_DATA_PROXY}/CreateUploadLocation", request)
    headers = {
        "Content-MD5": request["contentMd5"],
        "Content-Length": str(length),
        **place.get("headers", {}),
    }
    url = _checked(place["signedUrl"], bool(session().config.get("admin", {}).get("insecure")))
    await asyncio.to_thread(_put, url, what, headers)
    return str(place["nativeUrl"])


async def _upload_directory(directory: pathlib.Path, name: str, where: Mapping[str, str]) -> str:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    if not files:
        raise storage.StorageError(f"{directory} has no files, and a directory is uploaded by its files")
    hashes = hashlib.md5(usedforsecurity=False)
    for path in files:
        hashes.update(path.relative_to(directory).as_posix().encode() + b"\0" + _measured(path)[1])
    root = f"{hashes.hexdigest()}/{name}"
    base = ""
    for path in files:
        relative = path.relative_to(directory).as_posix()
        url = await upload(path, relative, where, below=root)
        base = url.removesuffix(relative).rstrip("/")
    return base


def _measured(what: bytes | pathlib.Path) -> tuple[int, bytes]:
    """The length and the MD5."""
    if isinstance(what, bytes):
        return len(what), hashlib.md5(what, usedforsecurity=False).digest()
    found = hashlib.md5(usedforsecurity=False)
    with what.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return os.path.getsize(what), found.digest()


def _checked(url: str, insecure: bool) -> str:
    """Returns the URL if a file can be sent to it: by HTTPS, or by HTTP on this machine or in an insecure session.

    Raises StorageError for any other: least of all is it the control plane's to name a file of this machine.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if host and (scheme == "https" or (scheme == "http" and (insecure or host in _THIS_MACHINE))):
        return url
    raise storage.StorageError(
        f"the control plane names {storage.shown(url)} to upload to, which is not an https:// URL; nothing was sent"
    )


def _put(url: str, what: bytes | pathlib.Path, headers: Mapping[str, str]) -> None:
    with open(os.devnull, "rb") if isinstance(what, bytes) else what.open("rb") as file:
        body = what if isinstance(what, bytes) else file
        request = urllib.request.Request(url, data=body, headers=dict(headers), method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE, context=storage.tls()) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                answer = error.read(2000).decode(errors="replace").strip()
            raise storage.StorageError(
                f"{storage.shown(url)} refused the upload: {error.code} {error.reason}{': ' + answer if answer else ''}"
            ) from None
        except urllib.error.URLError as error:
            raise storage.StorageError(f"{storage.shown(url)} cannot be reached: {error.reason}") from None

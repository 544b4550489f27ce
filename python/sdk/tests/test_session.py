"""Signing in, and calls, against a real server."""

from __future__ import annotations

import pathlib

import pytest

import flyte
from conftest import Server
from flyte import errors, remote


def test_a_shared_login_lists_projects(
    signed_in: pathlib.Path, home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(signed_in))
    monkeypatch.chdir(signed_in)
    flyte.init_from_config()
    projects = list(remote.Project.listall())
    assert projects[0].id == "flytesnacks"
    assert "development" in projects[0].domains
    assert remote.Project.get("flytesnacks") == projects[0]


def test_an_api_key_is_all_it_takes(
    api_key: str, server: Server, home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flyte.init(api_key=api_key, ca_cert_file_path=server.ca)
    assert next(remote.Project.listall()).id == "flytesnacks"
    monkeypatch.setenv("FLYTE_API_KEY", api_key)
    flyte.init_from_api_key(ca_cert_file_path=server.ca)
    with pytest.raises(errors.NotFoundError) as raised:
        remote.Project.get("absent")
    assert str(raised.value).startswith("cannot get project: not found: ") and "\n  next: " in str(
        raised.value
    )

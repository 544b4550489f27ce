"""`flyte.remote` against a real server."""

from __future__ import annotations

import asyncio
import pathlib
from datetime import timedelta

import pytest

import flyte
from conftest import Server
from flyte import errors, remote


@pytest.fixture
def initialized(api_key: str, server: Server, home: pathlib.Path) -> None:
    flyte.init(api_key=api_key, ca_cert_file_path=server.ca, project="flytesnacks", domain="development")


@pytest.mark.usefixtures("initialized")
def test_projects_are_made_changed_and_hidden() -> None:
    made = remote.Project.create("python-made", description="by a test", labels={"team": "a"})
    assert (made.id, made.name, made.description, made.labels) == (
        "python-made",
        "python-made",
        "by a test",
        {"team": "a"},
    )
    changed = remote.Project.update("python-made", name="Python", labels={})
    assert (changed.name, changed.description, changed.labels) == ("Python", "by a test", {})
    changed.archive()
    assert "python-made" not in [project.id for project in remote.Project.listall()]
    assert [project.id for project in remote.Project.listall(archived=True)] == ["python-made"]
    assert changed.unarchive().state == "active"
    with pytest.raises(errors.AlreadyExistsError):
        remote.Project.create("python-made")
    remote.Project.get("python-made").archive()


@pytest.mark.usefixtures("initialized")
def test_listings_are_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    from flyte.remote import _resource

    for name in ("paged-a", "paged-b", "paged-c"):
        remote.Project.create(name)
    monkeypatch.setattr(_resource, "PAGE", 2)
    everything = [project.id for project in remote.Project.listall()]
    assert everything == ["flytesnacks", "paged-a", "paged-b", "paged-c"]
    assert [project.id for project in remote.Project.listall(limit=3)] == everything[:3]
    assert next(iter(remote.Project.listall(sort_by=("created_at", "desc")))).id == "paged-c"

    async def read() -> list[str]:
        return [project.id async for project in remote.Project.listall.aio()]

    assert asyncio.run(read()) == everything


def test_an_api_key_lives_and_dies(initialized: None, server: Server) -> None:
    made = remote.ApiKey.create("made-by-python", role="viewer", expires_in=timedelta(hours=1))
    assert made.role == "viewer" and made.expires_at is not None
    assert (
        made.key not in repr(made) and made.key not in made.to_json() and made.key not in made._repr_html_()
    )
    assert made.client_id in [key.client_id for key in remote.ApiKey.listall()]
    with pytest.raises(ValueError, match="rotate"):
        remote.ApiKey.get(made.client_id).key  # noqa: B018
    rotated = remote.ApiKey.rotate(made.client_id)
    assert rotated.key != made.key

    def subject(key: str) -> str:
        flyte.init(api_key=key, ca_cert_file_path=server.ca)
        return remote.User.get().subject()

    admin = flyte._initialize._state
    assert subject(rotated.key) == made.client_id
    with pytest.raises(errors.AuthenticationError) as raised:
        subject(made.key)
    assert "\n  next: " in str(raised.value)
    flyte._initialize._state = admin
    remote.ApiKey.delete(made.client_id)
    with pytest.raises(errors.AuthenticationError) as raised:
        subject(rotated.key)
    assert rotated.key not in str(raised.value) and rotated.key not in repr(raised.value)


@pytest.mark.usefixtures("initialized")
def test_resources_show_themselves() -> None:
    project = remote.Project.get("flytesnacks")
    assert (
        repr(project).startswith("Project(id='flytesnacks'")
        and eval(str(project.to_dict())) == project.to_dict()
    )
    assert "<td style='text-align:left'>flytesnacks</td>" in project._repr_html_()

    from rich.console import Console

    console = Console(record=True, width=200, file=open("/dev/null", "w"))
    console.print(project)
    assert "id='flytesnacks'" in console.export_text()
    hostile = remote.Project({"id": "x", "description": "<script>"})
    assert "<script>" not in hostile._repr_html_()


@pytest.mark.usefixtures("initialized")
def test_unsupported_call_is_an_error() -> None:
    with pytest.raises(errors.FlyteError) as raised:
        remote.Run.get("absent")
    assert str(raised.value).startswith("cannot get run details: ")

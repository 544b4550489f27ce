"""Clients of SCIM that we did not write, and the checker of one of them, against the server."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Iterator

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import UniquenessException
from scim2_tester import Status, check_server

from conftest import Server


def key(server: Server, *arguments: str) -> str:
    """Creates a key; its secret."""
    return server.operator("scim", "create-key", *arguments).splitlines()[-1]


def connect(server: Server, secret: str) -> httpx2.Client:
    return httpx2.Client(
        base_url=f"https://{server.endpoint}/scim/v2",
        headers={"Authorization": f"Bearer {secret}"},
        verify=ssl.create_default_context(cafile=str(server.ca)),
        timeout=30,
    )


@pytest.fixture
def client(server: Server) -> Iterator[SyncSCIMClient]:
    with connect(server, key(server, "tested")) as http:
        yield SyncSCIMClient(http)
    server.operator("scim", "delete", "tested")


def is_intended(reason: str) -> bool:
    """Whether the server is meant to do what the checker found."""
    # An account is enabled or disabled: removing `active` is an error, and nothing changes.
    if "'active': active: cannot be removed; set it to true or false" in reason:
        return True
    # The server adds the name of a member, which is read-only, and the checker expects back what it sent.
    values = re.findall("value: (.*)", reason)
    return len(values) == 2 and re.sub("display='[^']*'", "display=None", values[1]) == values[0]


def test_the_checker_finds_nothing(client: SyncSCIMClient) -> None:
    results = check_server(client)
    good = (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE, Status.SKIPPED)
    results = [it for it in results if not is_intended(it.reason or "")]
    failed = [f"{it.title} {it.resource_type}: {it.reason}" for it in results if it.status not in good]
    assert not failed, "\n".join(failed)
    assert sum(it.status == Status.SUCCESS for it in results) > 100


def test_a_client_provisions_and_removes(client: SyncSCIMClient, server: Server) -> None:
    client.discover()
    user_model, group_model = client.get_resource_model("User"), client.get_resource_model("Group")
    assert user_model and group_model
    user = client.create(user_model(user_name="ida@corp.example", emails=[{"value": "ida@corp.example"}]))
    group = client.create(group_model(display_name="research", members=[{"value": user.id}]))
    found = client.query(user_model, query_parameters={"filter": 'userName eq "IDA@corp.example"'})
    assert found.total_results == 1 and found.resources[0].groups[0].value == group.id
    with pytest.raises(UniquenessException):
        client.create(user_model(user_name="ida", emails=[{"value": "ida@corp.example"}]))
    assert "ida@corp.example" in server.operator("user", "list")
    client.delete(group_model, group.id)
    client.delete(user_model, user.id)
    assert "ida@corp.example" not in server.operator("user", "list")
    log = server.operator("audit", "--subject", "scim:tested", "--json")
    assert "user_deleted" in log and "flscim_" not in log


def test_a_key_works_for_scim_only_and_until_it_is_deleted(server: Server) -> None:
    secret = key(server, "short", "--client", "corp", "--no-expiry")
    assert "short" in server.operator("scim", "list")
    with connect(server, secret) as http:
        assert http.get("/Users").json()["totalResults"] == 0
        rpc = http.post(f"https://{server.endpoint}/flyteauth.ScimKeyService/ListScimKeys", json={})
        assert rpc.status_code == 401
        assert "corp" in server.operator("scim", "delete", "short")
        refused = http.get("/Users")
        assert refused.status_code == 401 and refused.headers["content-type"] == "application/scim+json"
    with pytest.raises(subprocess.CalledProcessError):
        server.operator("scim", "delete", "short")

"""Signing in on another device, from a script and from a notebook, and what is needed besides."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import threading

import nbformat
import pytest
from nbclient import NotebookClient

import flyte
import person
from conftest import PASSWORD, Server
from flyte import errors, remote

SCRIPT = """
import sys
import flyte
import flyte.remote as remote
flyte.init(endpoint=sys.argv[1], headless=True, ca_cert_file_path=sys.argv[2])
print([project.id for project in remote.Project.listall()])
"""


def test_a_script_signs_in_on_another_device(server: Server, home: pathlib.Path) -> None:
    arguments = [sys.executable, "-c", SCRIPT, f"dns:///{server.endpoint}", str(server.ca)]
    script = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert script.stderr is not None
    output = ""
    for line in script.stderr:
        output += line
        if line.startswith("https://"):
            assert person.approve(str(server.ca), PASSWORD, line.strip()).startswith("Device connected")
    out, _ = script.communicate(timeout=60)
    assert script.returncode == 0, output
    assert "flytesnacks" in out
    assert "To Authenticate, navigate in a browser to the following URL:\nhttps://" in output
    assert output.count("Signed in to") == 1
    assert f"Signed in to https://{server.endpoint} as admin@localhost.\n" in output
    # The next one is signed in already, and says nothing.
    again = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert again.stdout == out and again.stderr == ""
    # So is the command.
    from conftest import COMMAND

    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [COMMAND, "--endpoint", server.endpoint, "get", "project", "-o", "json"]
    (home / ".flyte").mkdir()
    (home / ".flyte/config.yaml").write_text(f"admin:\n  caCertFilePath: {server.ca}\n")
    shared = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=60)
    assert shared.returncode == 0, shared.stderr


def test_a_person_says_no(server: Server, home: pathlib.Path) -> None:
    arguments = [sys.executable, "-c", SCRIPT, f"dns:///{server.endpoint}", str(server.ca)]
    script = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert script.stderr is not None
    output = ""
    for line in script.stderr:
        output += line
        if line.startswith("https://"):
            person.approve(str(server.ca), PASSWORD, line.strip(), deny=True)
    assert script.wait(60) == 1
    assert "flyte.errors.AuthenticationError: cannot sign in: the sign-in was denied" in output, output


def test_call_without_terminal_fails_at_once(server: Server, home: pathlib.Path) -> None:
    flyte.init(endpoint=server.endpoint, ca_cert_file_path=server.ca)
    with pytest.raises(errors.LoginRequiredError) as raised:
        list(remote.Project.listall())
    assert "not signed in to" in str(raised.value) and "\n  next: " in str(raised.value)


def test_a_notebook_shows_the_link_and_a_picture_of_it(server: Server, home: pathlib.Path) -> None:
    cells = [
        "import flyte, flyte.remote as remote",
        f"flyte.init(endpoint='dns:///{server.endpoint}', headless=True, ca_cert_file_path='{server.ca}')",
        "# A blocking form inside the kernel's running loop.\nprint(next(remote.Project.listall()).id)",
        "project = await remote.Project.get.aio('flytesnacks')\nproject",
        "async for project in remote.Project.listall.aio(limit=1):\n    print('listed', project.id)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    shown: list[str] = []
    approved: list[str] = []

    class Client(NotebookClient):  # type: ignore[misc]
        """Simulates the user who reads the cell while it runs."""

        def output(self, outs, msg, display_id, cell_index):  # type: ignore[no-untyped-def]
            page = msg["content"].get("data", {}).get("text/html", "")
            shown.append(page)
            link = re.search(r"href='(https://[^']*)'", page)
            if link and not approved:
                approved.append(link[1])
                threading.Thread(
                    target=person.approve, args=(str(server.ca), PASSWORD, link[1].replace("&amp;", "&"))
                ).start()
            return super().output(outs, msg, display_id, cell_index)

    client = Client(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(home)}})
    client.execute()
    assert approved and "<svg" in shown[0] and "Check that the page shows this code: <code" in shown[0]
    # Once it is done, the link is gone from the cell.
    html = [out.get("data", {}).get("text/html", "") for out in notebook.cells[1].outputs]
    assert html == [f"<div>Signed in to https://{server.endpoint} as admin@localhost.</div>"]
    assert notebook.cells[2].outputs[0].text == "flytesnacks\n"
    assert "<caption>Project</caption>" in notebook.cells[3].outputs[0].data["text/html"]
    assert notebook.cells[4].outputs[0].text == "listed flytesnacks\n"


def test_altered_key_has_its_own_error(api_key: str, home: pathlib.Path) -> None:
    for broken in ("no key", api_key[:-6]):
        with pytest.raises(errors.FlyteError) as raised:
            flyte.init(api_key=broken)
        assert "API key" in str(raised.value) and broken not in str(raised.value)


def test_key_is_sent_only_to_its_endpoint(api_key: str, home: pathlib.Path) -> None:
    with pytest.raises(errors.AuthenticationError, match="the API key is for"):
        flyte.init(api_key=api_key, endpoint="https://elsewhere.example.com")


def test_a_key_in_the_environment_is_enough(
    api_key: str, server: Server, home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYTE_API_KEY", api_key)
    monkeypatch.setenv("FLYTE_ADMIN_CACERTFILEPATH", str(server.ca))
    flyte.init_from_config()
    assert next(remote.Project.listall()).id == "flytesnacks"


def test_local_mode_has_no_control_plane(home: pathlib.Path) -> None:
    with pytest.raises(errors.InitializationError, match=r"flyte\.init"):
        list(remote.Project.listall())
    flyte.init(project="p")
    assert flyte.current_project() == "p"
    with pytest.raises(errors.InitializationError, match="local mode"):
        list(remote.Project.listall())
    (home / "local.yaml").write_text("task:\n  project: q\n")
    flyte.init_from_config("local.yaml")
    assert flyte.current_project() == "q"
    with pytest.raises(errors.InitializationError, match="local mode"):
        list(remote.Project.listall())
    with pytest.raises(errors.InitializationError, match=r"broken\.yaml:1"):
        (home / "broken.yaml").write_text("admin: [\n")
        flyte.init_from_config("broken.yaml")
    with pytest.raises(errors.InitializationError, match=r"absent\.yaml does not exist"):
        flyte.init_from_config("absent.yaml")
    with pytest.raises(errors.InitializationError, match="FLYTE_API_KEY"):
        flyte.init_from_api_key()


def test_status_and_logout(server: Server, home: pathlib.Path) -> None:
    import flyte.auth

    flyte.init(endpoint=server.endpoint, ca_cert_file_path=server.ca)
    status = flyte.auth.status()
    assert (status.signed_in, status.subject, status.auth_type) == (False, None, "Pkce")
    script = (
        "import sys, flyte; flyte.init(endpoint=sys.argv[1], headless=True, ca_cert_file_path=sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, server.endpoint, str(server.ca)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("https://"):
            person.approve(str(server.ca), PASSWORD, line.strip())
    assert process.wait(60) == 0
    status = flyte.auth.status()
    assert status.signed_in and status.subject and status.renews_itself
    assert status.expires_at is not None and "file" in status.kept_in, status
    assert "flytesnacks" in [project.id for project in remote.Project.listall()]
    assert flyte.auth.logout() == flyte.auth.SignedOut(was_signed_in=True, revoked=True)
    with pytest.raises(errors.LoginRequiredError):
        list(remote.Project.listall())

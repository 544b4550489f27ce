"""The unmodified published SDK with flyte-auth beside it: people at a browser and in a notebook, and the oldest version."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import threading

import nbformat
from nbclient import NotebookClient

import person
from conftest import COMMAND, PASSWORD, TARGET, Server, eventually, running

ROOT = pathlib.Path(__file__).parents[3]
PEERS = TARGET / "peers"
SDK = PEERS / "venv/bin"
BESIDE, OLDEST = PEERS / "flyte-auth", PEERS / "oldest"

LISTING = """
import flyte
from flyte.remote import Project
flyte.init_from_config()
print(flyte.__version__, [project.to_dict()["id"] for project in Project.listall()])
"""

APP = """
import flyte
from neighbour import BASE

env = flyte.TaskEnvironment(name="oldest", image="python:3.12")


@env.task
async def double(x: int) -> int:
    return BASE * x


@env.task
async def main(n: int, loud: bool) -> str:
    return f"{flyte.__version__} {await double(n)} {loud}"
"""


def configure(server: Server, home: pathlib.Path, auth_type: str = "Pkce") -> None:
    (home / ".flyte").mkdir()
    (home / ".flyte/config.yaml").write_text(
        f"admin:\n  endpoint: dns:///{server.endpoint}\n  caCertFilePath: {server.ca}\n"
        f"  authType: {auth_type}\n"
        "task:\n  project: flytesnacks\n  domain: development\n"
    )


def run(home: pathlib.Path, path: str, *command: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": path, **more},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_the_sdk_signs_in_with_a_browser(server: Server, home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    configure(server, home)
    (tmp_path / "password").write_text(PASSWORD)
    # The page of the user, in a real browser, with the proof key of RFC 7636.
    browser = f"{sys.executable} {ROOT / 'tests/peers/sign-in.py'} {tmp_path / 'password'} %s"
    first = run(home, str(BESIDE), SDK / "python", "-c", LISTING, BROWSER=browser, DISPLAY=":99", CI="false")
    log = home / "browser.log"
    assert first.returncode == 0 and "flytesnacks" in first.stdout, (first, log.exists() and log.read_text())
    # The next process and the command have the login.
    again = run(home, str(BESIDE), SDK / "flyte", "get", "project", CI="true")
    assert again.returncode == 0 and "flytesnacks" in again.stdout, again
    ours = run(home, "", COMMAND, "auth", "status", "--offline", "-o", "json")
    assert '"signed_in": true' in ours.stdout, ours


def test_a_notebook_with_the_sdk_shows_the_link_and_a_picture_of_it(
    server: Server, home: pathlib.Path
) -> None:
    configure(server, home, "DeviceFlow")
    library = next((PEERS / "venv/lib").glob("python3*/site-packages"))
    cells = [
        # The kernel's own environment has our package `flyte`; the published one comes before it.
        f"import sys\nsys.path[:0] = [{str(BESIDE)!r}, {str(library)!r}]",
        "import flyte\nfrom flyte.remote import Project\nflyte.init_from_config()\nprint(flyte.__file__)",
        "print([project.to_dict()['id'] for project in Project.listall()])",
        "print((await Project.get.aio('flytesnacks')).to_dict()['id'])",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    shown: list[str] = []
    approved: list[str] = []

    class Client(NotebookClient):  # type: ignore[misc]
        """Simulates the user who reads the cell while it runs."""

        def output(self, outs, msg, display_id, cell_index):  # type: ignore[no-untyped-def]
            page = msg["content"].get("data", {}).get("text/html", "")
            link = re.search(r"href='(https://[^']*)'", page)
            if link and not approved:
                shown.append(page)
                approved.append(link[1])
                url = link[1].replace("&amp;", "&")
                threading.Thread(target=person.approve, args=(str(server.ca), PASSWORD, url)).start()
            return super().output(outs, msg, display_id, cell_index)

    client = Client(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(home)}})
    client.execute()
    assert approved and "<svg" in shown[0] and "Check that the page shows this code: <code" in shown[0]
    assert str(library) in notebook.cells[1].outputs[0].text
    texts = [out.get("text", "") for cell in notebook.cells[2:] for out in cell.outputs]
    assert "flytesnacks" in "".join(texts) and "flytesnacks\n" in texts, texts
    # Once it is done, the link is gone from the cell.
    pages = [out.get("data", {}).get("text/html", "") for cell in notebook.cells for out in cell.outputs]
    assert [page for page in pages if page] == [
        f"<div>Signed in to https://{server.endpoint} as admin@localhost.</div>"
    ]


def test_the_oldest_sdk_signs_in_and_runs(tmp_path: pathlib.Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with running(tmp_path, FLYTE_SERVER_RUNNER_PYTHON=str(SDK.parent)) as server:
        # Its own sign-in through flyte-auth.
        configure(server, home, "DeviceFlow")
        first = subprocess.Popen(
            [SDK / "python", "-c", LISTING],
            env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": f"{OLDEST}:{BESIDE}"},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert first.stderr is not None
        said = ""
        for line in first.stderr:
            said += line
            if line.startswith("https://"):
                assert person.approve(str(server.ca), PASSWORD, line.strip()).startswith("Device connected")
                break
        out, rest = first.communicate(timeout=120)
        assert first.returncode == 0 and out.startswith("2.10.0 ") and "flytesnacks" in out, said + rest
        # Our command with it: a script in a subdirectory, subtasks, and a bool that is not given.
        (home / "code/below").mkdir(parents=True)
        (home / "code/below/app.py").write_text(APP)
        (home / "code/below/neighbour.py").write_text("BASE = 2\n")
        command = [COMMAND, "run", "--follow", "-e", f"PYTHONPATH={OLDEST}", "code/below/app.py", "main"]
        ours = run(home, str(OLDEST), *command, "--n", 21, FLYTE_PYTHON=str(SDK / "python"))
        assert ours.returncode == 0 and "2.10.0 42 False" in ours.stdout, ours.stdout + ours.stderr
        # Its own command.
        theirs = run(
            home,
            f"{OLDEST}:{BESIDE}",
            *(SDK / "flyte", "run", "--root-dir", "code/below", "-e", f"PYTHONPATH={OLDEST}"),
            *("code/below/app.py", "main", "--n", 4),
            CI="true",
            # Its uploads do not use the CA of the configuration.
            SSL_CERT_FILE=str(server.ca),
        )
        assert theirs.returncode == 0, theirs
        name = re.search(r"Created Run: ([a-z0-9-]+)", theirs.stdout)
        assert name is not None, theirs

        def ended() -> bool:
            found = run(home, "", COMMAND, "get", "run", name[1], "-o", "json")
            return '"phase": "succeeded"' in found.stdout

        eventually("the run", ended)

"""`a0`, this package's and the published one's, on the same files; and what it is made of."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import typing
from typing import Any

import pytest

import flyte
import flyte.errors
from flyte import _bundle, _upload, storage
from flyte._runtime import code, command
from flyte._wire import decode, encode

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parents[3] / "target"))
PROJECT = pathlib.Path(__file__).parent / "project"
A0 = {"ours": TARGET / "peers/ours/bin/a0", "published": TARGET / "peers/venv/bin/a0"}
NUMBER = {"scalar": {"primitive": {"integer": "7"}}}
WORD = {"scalar": {"primitive": {"stringValue": "bob"}}}


class Attempt:
    """One run of `a0`."""

    def __init__(self, directory: pathlib.Path, package: str) -> None:
        self.directory = directory
        self.package = package
        packed = _bundle.pack(PROJECT, [], "all")
        self.version = packed.version
        (directory / "code.tar.gz").write_bytes(packed.archive)
        (directory / "work").mkdir()

    def run(self, module: str, task: str, **inputs: Any) -> tuple[str, Any]:
        """Runs a task; gives what was written, `outputs` or `error`."""
        literals = [{"name": name, "value": value} for name, value in inputs.items()]
        (self.directory / "inputs.pb").write_bytes(encode("flyteidl2.task.Inputs", {"literals": literals}))
        key = base64.b64encode(b"localhost:id:secret:org").decode()
        run = subprocess.run(
            [
                *(
                    A0[self.package],
                    "--inputs",
                    f"{self.directory}/inputs.pb",
                    "--outputs-path",
                    f"{self.directory}/out",
                ),
                *(
                    "--version",
                    self.version,
                    "--raw-data-path",
                    f"{self.directory}/raw",
                    "--checkpoint-path",
                    "",
                ),
                *(
                    "--prev-checkpoint",
                    "",
                    "--run-name",
                    "r1",
                    "--name",
                    "a0",
                    "--run-start-time",
                    "{{.runStartTime}}",
                ),
                *("--tgz", f"{self.directory}/code.tar.gz", "--dest", "."),
                *(
                    "--resolver",
                    "flyte._internal.resolvers.default.DefaultTaskResolver",
                    "mod",
                    module,
                    "instance",
                    task,
                ),
            ],
            cwd=self.directory / "work",
            capture_output=True,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.directory),
                "_U_RUN_BASE": str(self.directory / "base"),
                "FLYTE_INTERNAL_EXECUTION_PROJECT": "p",
                "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d",
                "_U_ORG_NAME": "o",
                "_U_EP_OVERRIDE": "localhost:1",
                "_U_INSECURE": "true",
                "_UNION_EAGER_API_KEY": key,
                "FSSPEC_FILE_AUTO_MKDIR": "true",
            },
        )
        for name, message in (
            ("outputs", "flyteidl2.task.Outputs"),
            ("error", "flyteidl2.core.ErrorDocument"),
        ):
            path = self.directory / f"out/{name}.pb"
            if path.exists():
                assert run.returncode == 0, run.stderr
                return name, decode(message, path.read_bytes())
        raise AssertionError(run.stderr)


@pytest.fixture(params=A0)
def attempt(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Attempt:
    return Attempt(tmp_path, request.param)


def test_outputs_are_written(attempt: Attempt) -> None:
    written = attempt.run("app", "main", x=NUMBER, name=WORD)
    value = {"scalar": {"primitive": {"stringValue": "bob 7"}}}
    assert written == ("outputs", {"literals": [{"name": "o0", "value": value}]})


def test_a_task_without_inputs_and_outputs(attempt: Attempt) -> None:
    assert attempt.run("app", "nothing") == ("outputs", {})


def test_errors_are_written(attempt: Attempt) -> None:
    how = {"scalar": {"primitive": {"stringValue": "raise"}}}
    name, document = attempt.run("flow", "broken", how=how)
    error = document["error"]
    assert (name, error["code"], error["origin"], error["kind"]) == (
        "error",
        "ValueError",
        "USER",
        "RECOVERABLE",
    )
    assert error["message"].startswith("of no value")
    if attempt.package == "ours":
        assert 'flow.py", line' in error["message"] and "site-packages" not in error["message"]


def test_final_errors_are_written(attempt: Attempt) -> None:
    how = {"scalar": {"primitive": {"stringValue": "never"}}}
    _, document = attempt.run("flow", "broken", how=how)
    assert document["error"]["code"] == "NonRecoverableError" and "kind" not in document["error"]


@pytest.mark.parametrize(
    ("module", "task", "expected"),
    [("nowhere", "main", "nowhere"), ("app", "missing", "missing"), ("app", "env", "not a task")],
)
def test_missing_task_is_an_error(tmp_path: pathlib.Path, module: str, task: str, expected: str) -> None:
    name, document = Attempt(tmp_path, "ours").run(module, task)
    assert name == "error" and expected in document["error"]["message"]


def test_an_input_of_another_type(tmp_path: pathlib.Path) -> None:
    name, document = Attempt(tmp_path, "ours").run("app", "main", x=WORD)
    assert name == "error" and document["error"]["code"] == "DataValidationError"
    assert "'x' is not of type int" in document["error"]["message"]


NEEDED = ["--inputs", "i", "-o", "out", "-v", "1", "--run-base-dir", "b", "--project", "p", "--domain=d"]


def test_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_NAME", "r9")
    found = command.read(
        ["a0", *NEEDED, "--name", "a", "--run-name", "{{.runName}}", "--resolver", "r", "mod", "--x", "y"]
    )
    assert found is not None
    assert (found.inputs, found.outputs_path, found.domain, found.run_name) == ("i", "out", "d", "r9")
    assert found.resolver_args == ("mod", "--x", "y") and found.started.year == 1970
    for arguments, expected in (
        ([], "--inputs"),
        ([*NEEDED, "--nope", "1"], "unknown option --nope"),
        (["--name"], "needs a value"),
    ):
        with pytest.raises(command.Wrong, match=expected):
            command.read(arguments)


def archive_of(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    found.size = 1 if kind == tarfile.REGTYPE else 0
    return found


@pytest.mark.parametrize(
    "bad",
    [
        member("../out.py"),
        member("/etc/out.py"),
        member("link", tarfile.SYMTYPE, "../../out"),
        member("hard", tarfile.LNKTYPE, "../out"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda one: one.name,
)
def test_code_stays_in_its_directory(tmp_path: pathlib.Path, bad: tarfile.TarInfo) -> None:
    (tmp_path / "code.tgz").write_bytes(archive_of(member("good.py"), bad))
    with pytest.raises(flyte.errors.DeploymentError):
        code.unpack(str(tmp_path / "code.tgz"), str(tmp_path / "into"))
    assert sorted(path.name for path in tmp_path.iterdir()) in (["code.tgz"], ["code.tgz", "into"])
    assert not list((tmp_path / "into").iterdir())


@pytest.mark.parametrize(
    "members",
    [
        # Each is below the directory by its name; the links before it are not taken in by that.
        [member("x", tarfile.SYMTYPE, "."), member("x/y", tarfile.SYMTYPE, ".."), member("y/out.py")],
        [
            member("x", tarfile.SYMTYPE, "."),
            member("x/y", tarfile.SYMTYPE, "../outside"),
            member("y", tarfile.DIRTYPE),
        ],
        [member("x", tarfile.SYMTYPE, "."), member("x/y", tarfile.LNKTYPE, "x/../code.tgz")],
    ],
    ids=["parent", "directory", "hard link"],
)
@pytest.mark.parametrize("filtered", [True, False])
def test_code_does_not_follow_links_out(
    tmp_path: pathlib.Path, members: list[tarfile.TarInfo], filtered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filtered:
        monkeypatch.setattr(code, "_FILTER", {})
    (tmp_path / "outside").mkdir(mode=0o755)
    (tmp_path / "code.tgz").write_bytes(archive_of(*members))
    with pytest.raises(flyte.errors.DeploymentError):
        code.unpack(str(tmp_path / "code.tgz"), str(tmp_path / "into"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code.tgz", "into", "outside"]
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["x"]


def test_code_that_is_packed_is_unpacked(tmp_path: pathlib.Path) -> None:
    members = [member(".", tarfile.DIRTYPE), member("a/b.py"), member("a/c.py", tarfile.SYMTYPE, "b.py")]
    (tmp_path / "code.tgz").write_bytes(archive_of(*members))
    for _ in range(2):
        code.unpack(str(tmp_path / "code.tgz"), str(tmp_path / "into"))
    assert (tmp_path / "into/a/c.py").read_text() == "x"


def test_code_that_is_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "code.tgz").write_bytes(b"not an archive")
    with pytest.raises(flyte.errors.DeploymentError, match="cannot be unpacked"):
        code.unpack(str(tmp_path / "code.tgz"), str(tmp_path / "into"))
    with pytest.raises(FileNotFoundError):
        code.unpack(str(tmp_path / "nothing.tgz"), str(tmp_path / "into"))


def test_code_is_packed_alike(tmp_path: pathlib.Path) -> None:
    for name in ("a.py", "sub/b.py", "sub/data.txt", "ignored.txt", ".git/config", "venv/lib/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".flyteignore").write_text("# comment\nignored.*\n")
    env = flyte.TaskEnvironment(name="packing", include=(str(tmp_path / "sub/*.txt"),))
    first = _bundle.pack(tmp_path, [], "all")
    assert first.files == [".flyteignore", "a.py", "sub/b.py", "sub/data.txt"]
    assert _bundle.pack(tmp_path, [env], "none").files == ["sub/data.txt"]
    os.utime(tmp_path / "a.py", (1, 1))
    assert _bundle.pack(tmp_path, [], "all") == first
    (tmp_path / "a.py").write_text("other")
    assert _bundle.pack(tmp_path, [], "all").version != first.version
    missing = flyte.TaskEnvironment(name="missing", include=("no/such",))
    with pytest.raises(flyte.errors.DeploymentError, match="includes no/such"):
        _bundle.pack(tmp_path, [missing], "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(flyte.errors.DeploymentError, match=r"is left out.*root_dir"):
        _bundle.pack(tmp_path / "empty", [], "all")


def test_the_command_packs_the_same(tmp_path: pathlib.Path) -> None:
    app = (
        "import flyte\n"
        "env = flyte.TaskEnvironment(name='same', include=('.env',))\n"
        "@env.task\n"
        "def main() -> int:\n    return 1\n"
    )
    files = {
        "app.py": app,
        "lib/a1.txt": "in",
        "a1.txt": "out",
        "lib/note.md": "out",
        "any-name/pyvenv.cfg": "out",
        ".DS_Store": "out",
        ".env": "in: the environment names it",
        "tls.pem": "out",
        ".gitignore": "/a*.txt\n",
        "lib/.flyteignore": "*.md\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "linked").symlink_to("lib")
    dry_run = subprocess.run(
        [TARGET / "debug/flyte", "-o", "json", "deploy", "--dry-run", "--python", sys.executable, "app.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert dry_run.returncode == 0, dry_run.stderr
    assert "tls.pem" in dry_run.stderr and ".env" not in dry_run.stderr
    env = flyte.TaskEnvironment(name="the-same", include=(str(tmp_path / ".env"),))
    packed = _bundle.pack(tmp_path, [env], "all")
    assert packed.files == [
        *(".env", ".gitignore", "app.py", "lib/.flyteignore", "lib/a1.txt"),
        *("linked/.flyteignore", "linked/a1.txt"),
    ]
    assert json.loads(dry_run.stdout)[0]["version"] == packed.version


@pytest.mark.parametrize("git", [True, False])
def test_bundle_leaves_out_secrets_and_links(
    tmp_path: pathlib.Path, git: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "checkout"
    names = (
        *("a.py", "data/sub/b.txt", "data/kept.txt", "sub/deep/ignored.txt", "out/made.py", "sub/own.txt"),
        *(
            ".env",
            ".env.local",
            "sub/tls.pem",
            "sub/Host.KEY",
            ".aws/credentials",
            ".ssh/id",
            ".netrc",
            "environment.py",
        ),
    )
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (tmp_path / "elsewhere.txt").write_text("another's")
    (root / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    (root / "settings").symlink_to(".env")
    (root / "same.py").symlink_to("a.py")
    (root / ".gitignore").write_text("# made\n/out/\n**/ignored.txt\ndata/*\n!data/kept.txt\n")
    (root / "sub/.gitignore").write_text("own.txt\n")
    if git:
        subprocess.run(["git", "init", "--quiet", root], check=True)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    assert _bundle.pack(root, [], "all").files == [
        *(".gitignore", "a.py", "data/kept.txt", "environment.py", "same.py", "sub/.gitignore"),
    ]
    for name in (".env", ".env.local", "sub/tls.pem", ".aws", ".netrc", "link.txt", "settings"):
        assert name in caplog.text
    env = flyte.TaskEnvironment(name=f"with-a-secret-{git}".lower(), include=(str(root / ".env"),))
    assert ".env" in _bundle.pack(root, [env], "all").files


@pytest.mark.parametrize(
    ("url", "insecure", "taken"),
    [
        ("https://bucket.example/x", False, True),
        ("http://localhost:8080/x", False, True),
        ("http://bucket.example/x", True, True),
        ("http://bucket.example/x", False, False),
        ("http://localhost.example/x", False, False),
        ("file:///tmp/x", True, False),
        ("objects:///tmp/x", True, False),
        ("/tmp/x", True, False),
        ("s3://bucket/x", True, False),
        ("https:///x", False, False),
        ("http://[x", True, False),
    ],
)
def test_uploads_need_safe_urls(
    tmp_path: pathlib.Path, url: str, insecure: bool, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the control plane names; and files of this machine are never written."""
    local = url.replace("/tmp/x", str(tmp_path / "x"))

    class Session:
        config: typing.ClassVar[dict[str, Any]] = {"admin": {"insecure": insecure}}

        async def call(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
            return {"signedUrl": local, "nativeUrl": "s3://bucket/x"}

    sent = []
    monkeypatch.setattr("flyte._initialize.session", Session)
    monkeypatch.setattr(
        "urllib.request.urlopen", lambda request, **_: sent.append(request.full_url) or io.BytesIO()
    )
    monkeypatch.setattr("flyte.storage.tls", lambda: None)
    if taken:
        assert asyncio.run(_upload.upload(b"data", "x", {})) == "s3://bucket/x"
    else:
        with pytest.raises(storage.StorageError, match="nothing was sent"):
            asyncio.run(_upload.upload(b"data", "x", {}))
    assert sent == ([local] if taken else []) and not list(tmp_path.iterdir())


def test_names_in_a_bucket_do_not_lead_out(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "from/sub").mkdir(parents=True)
    for name in ("from/a.txt", "from/sub/b.txt", "out.txt"):
        (tmp_path / name).write_text(name)
    source, into = str(tmp_path / "from"), tmp_path / "to/into"
    storage.get_sync(source, into, recursive=True)
    assert (into / "sub/b.txt").read_text() == "from/sub/b.txt"
    for name in ("../out.txt", f"{tmp_path}/out.txt", "sub/../../out.txt", "."):
        monkeypatch.setattr(storage, "list_sync", lambda url, name=name: ["a.txt", name])
        with pytest.raises(storage.StorageError, match="leads out of"):
            storage.get_sync(source, tmp_path / "to/other", recursive=True)
    assert sorted(path.name for path in (tmp_path / "to").rglob("*")) == [
        "a.txt",
        "b.txt",
        "into",
        "other",
        "sub",
    ]


def test_storage(tmp_path: pathlib.Path) -> None:
    url = f"file://{tmp_path}/a%20b/c.txt"
    storage.write_sync(url, b"data")
    assert (tmp_path / "a b/c.txt").read_bytes() == storage.read_sync(url) == b"data"
    assert storage.exists_sync(url) and not storage.exists_sync(f"{tmp_path}/none")
    with pytest.raises(storage.StorageError, match="more than the 3 bytes"):
        storage.read_sync(url, at_most=3)
    with pytest.raises(storage.StorageError, match="fsspec"):
        storage.read_sync("s3://bucket/key")
    assert storage.shown("https://host/x?signature=secret") == "https://host/x"
    assert [one.name for one in tmp_path.rglob("*")] == ["a b", "c.txt"]


def test_an_app_is_started(tmp_path: pathlib.Path) -> None:
    (tmp_path / "served.py").write_text(
        "import flyte.app\nenv = flyte.app.AppEnvironment(name='served')\n"
        "@env.on_startup\ndef start(): print('start')\n@env.server\nasync def serve(): print('serve')\n"
        "@env.on_shutdown\ndef stop(): print('stop')\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "_U_EP_OVERRIDE": "localhost:1"}
    resolver = [
        "--resolver",
        "flyte._internal.resolvers.app_env.AppEnvResolver",
        "--resolver-args",
        "served:env",
    ]
    start = [sys.executable, "-m", "flyte._bin.serve", "--version", "1"]
    for arguments, expected in (
        ([*resolver, "--"], "start\nserve\nstop\n"),
        (["--", "echo", "own"], "own\n"),
    ):
        run = subprocess.run(
            [*start, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (run.returncode, run.stdout) == (0, expected), run.stderr

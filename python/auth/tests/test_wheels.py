"""The wheels as people get them: both of ours together, and flyte-auth beside the published SDK."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from conftest import COMMAND, ROOT, TARGET

PUBLISHED = TARGET / "peers/venv"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Wheels of both packages, and of the published SDK."""
    directory = tmp_path_factory.mktemp("wheels")
    # Of the development profile: what a release has besides is the compiler's work.
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory]
    settings = ["--config-settings", "build-args=--profile=dev"]
    # The binary of the workspace's build, which is the same, as in the archive of a release.
    archive = directory / "archive"
    archive.mkdir()
    command = pathlib.Path(shutil.copy2(COMMAND, archive / "flyte"))
    (archive / "THIRD-PARTY-LICENSES").write_text("the licences of other projects\n")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "FLYTE_AUTH_COMMAND": str(command)}
    environment["PATH"] = os.pathsep.join([str(pathlib.Path(sys.executable).parent), environment["PATH"]])
    for package, more in (("auth", settings), ("sdk", [])):
        subprocess.run([*build, *more, ROOT / "python" / package], env=environment, check=True, timeout=1800)
    (auth,) = directory.glob("flyte_auth-*-cp310-abi3-*.whl")
    (sdk,) = directory.glob("flyte-*-py3-none-any.whl")
    return {"auth": auth, "sdk": sdk, "published": packed(directory / "published")}


def packed(directory: pathlib.Path) -> pathlib.Path:
    """A wheel of the installed published SDK: its files, as its RECORD lists them."""
    directory.mkdir()
    (site,) = (PUBLISHED / "lib").glob("python3.*/site-packages")
    (metadata,) = site.glob("flyte-2.*.dist-info")
    wheel = directory / f"{metadata.name.removesuffix('.dist-info')}-py3-none-any.whl"
    record = f"{metadata.name}/RECORD"
    lines = []
    with zipfile.ZipFile(wheel, "w") as archive, (site / record).open(newline="") as rows:
        for name, *_ in csv.reader(rows):
            path = site / name
            # Scripts and compiled files are made by the installer.
            if name.startswith("..") or name == record or "__pycache__" in name or not path.is_file():
                continue
            content = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}")
            archive.writestr(name, content)
        archive.writestr(record, "\n".join([*lines, f"{record},,", ""]))
    return wheel


def environment(directory: pathlib.Path) -> pathlib.Path:
    """A fresh environment; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    return directory / "bin/python"


def install(python: pathlib.Path, *wheels: pathlib.Path) -> None:
    arguments = ["install", "--no-index", "--no-deps", "--no-compile", *wheels]
    subprocess.run([*PIP, "--python", python, *arguments], check=True, timeout=300)


def files(python: pathlib.Path) -> dict[str, str]:
    """Every installed file with its hash."""
    root = python.parent.parent
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def recorded(python: pathlib.Path, name: str) -> set[str]:
    """The files that the RECORD of a distribution lists, each with its hash intact."""
    (site,) = python.parent.parent.glob("lib/python3.*/site-packages")
    (metadata,) = site.glob(f"{name}-*.dist-info")
    listed = set()
    with (metadata / "RECORD").open(newline="") as rows:
        for path, digest, _ in csv.reader(rows):
            file = (site / path).resolve()
            assert file.is_file(), f"{name} has lost {path}"
            if digest:
                found = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=")
                assert digest == f"sha256={found.decode()}", f"{path} of {name} was changed"
            listed.add(str(file))
    return listed


def test_it_overwrites_nothing_of_the_published_sdk(
    wheels: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    installed = {}
    for first, second in (("published", "auth"), ("auth", "published")):
        python = environment(tmp_path / first)
        install(python, wheels[first])
        before = files(python)
        install(python, wheels[second])
        after = files(python)
        changed = {name for name, digest in before.items() if after.get(name) != digest}
        assert not changed, f"{second} has changed files of {first}: {changed}"
        assert not recorded(python, "flyte") & recorded(python, "flyte_auth")
        # Scripts name their environment.
        installed[first] = {name for name in after if not name.endswith((".cfg", "direct_url.json"))}
    assert installed["published"] == installed["auth"]
    assert {"bin/flyte", "bin/a0", "bin/flyte-auth"} <= installed["auth"]
    # Removing it leaves the SDK whole.
    python = tmp_path / "published/bin/python"
    subprocess.run([*PIP, "--python", python, "uninstall", "--yes", "flyte-auth"], check=True)
    recorded(python, "flyte")
    assert not (python.parent / "flyte-auth").exists()


def test_both_of_our_wheels_install_and_import(
    wheels: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    licenses = f"flyte_auth-{version()}.data/data/share/doc/flyte-auth/THIRD-PARTY-LICENSES"
    for wheel, expected in {
        "auth": {"flyte_auth/py.typed", "flyte_auth/_native.pyi", "flyte_auth/_native.abi3.so", licenses},
        "sdk": {"flyte/py.typed", "flyte/__init__.py"},
    }.items():
        with zipfile.ZipFile(wheels[wheel]) as archive:
            names = archive.namelist()
        assert expected <= set(names)
        top = {name.split("/")[0] for name in names if ".dist-info" not in name}
        assert top <= {"flyte_auth", "flyte", f"flyte_auth-{version()}.data"}, top
        assert not [name for name in names if "__pycache__" in name]
    python = environment(tmp_path / "venv")
    subprocess.run(
        [*PIP, "--python", python, "install", "--no-index", wheels["auth"], wheels["sdk"]], check=True
    )
    program = (
        "import flyte, flyte.remote, flyte_auth, importlib.metadata as metadata; flyte.init(endpoint='https://example.com'); "
        "assert metadata.version('flyte') == metadata.version('flyte-auth') == flyte.__version__ == flyte_auth.__version__; "
        "print(flyte.__file__)"
    )
    output = subprocess.run([python, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    assert output.stdout.startswith(str(tmp_path / "venv"))
    assert (tmp_path / "venv/bin/a0").exists()


def test_the_command_is_found_wherever_it_was_installed(
    wheels: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    def finds(python: pathlib.Path | str, **variables: str) -> pathlib.Path:
        program = "from flyte_auth._find import find_command; print(find_command())"
        variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
        output = subprocess.run([python, "-c", program], env=variables, capture_output=True, text=True)
        assert output.returncode == 0, output.stderr
        return pathlib.Path(output.stdout.strip())

    python = environment(tmp_path / "venv")
    install(python, wheels["auth"])
    command = tmp_path / "venv/bin/flyte-auth"
    assert finds(python) == command
    run = subprocess.run([python, "-m", "flyte_auth", "--version"], capture_output=True, text=True)
    assert run.returncode == 0 and version() in run.stdout, run
    # Its messages name it as it was called. The published SDK's command has another `flyte auth`.
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "CI": "true"}
    run = subprocess.run(
        [command, "--endpoint", "localhost:1", "whoami"], env=home, capture_output=True, text=True
    )
    assert run.returncode != 0 and "flyte-auth" in run.stderr and "`flyte " not in run.stderr, run
    run = subprocess.run([command, "auth", "--help"], env=home, capture_output=True, text=True)
    assert "Usage: flyte-auth auth" in run.stdout, run.stdout

    # The same files where other ways to install put them. Copying a debug build again and again would take long.
    (site,) = (tmp_path / "venv/lib").glob("python3.*/site-packages")
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for kind, package, binaries in (
        ("target", "target", "target/bin"),
        ("prefix", f"prefix/{library}", "prefix/bin"),
        ("user", f".local/{library}", ".local/bin"),
    ):
        place = tmp_path / package
        place.mkdir(parents=True)
        (tmp_path / binaries).mkdir(parents=True, exist_ok=True)
        shutil.copytree(site / "flyte_auth", place / "flyte_auth", copy_function=os.link)
        os.link(command, tmp_path / binaries / "flyte-auth")
        # Not the environment that has it already.
        bare = environment(tmp_path / f"bare-{kind}")
        found = finds(
            bare,
            PYTHONPATH=str(place),
            PYTHONUSERBASE=str(tmp_path / ".local" if kind == "user" else tmp_path / "no"),
        )
        assert found == tmp_path / binaries / "flyte-auth", kind
    (tmp_path / "target/bin/flyte-auth").unlink()
    lost = subprocess.run(
        [bare, "-m", "flyte_auth"],
        env={"PYTHONPATH": str(tmp_path / "target"), "HOME": str(tmp_path / "no")},
        capture_output=True,
        text=True,
    )
    assert lost.returncode == 1 and "Install flyte-auth again" in lost.stderr, lost


def version() -> str:
    """The version of the workspace, which all have."""
    found = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_all_have_one_version() -> None:
    project = (ROOT / "python/sdk/pyproject.toml").read_text()
    assert f'\nversion = "{version()}"\n' in project
    assert f'"flyte-auth=={version()}"' in project

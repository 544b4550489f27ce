"""Images that scripts describe: what is sent, and what is said about what is not built."""

from __future__ import annotations

import logging
import pathlib
from typing import Any

import pytest

import flyte
import flyte.errors
from flyte import _unheeded
from flyte._image import uri_of
from flyte._run import images_of


def image() -> flyte.Image:
    return flyte.Image.from_debian_base(name="mine", registry="registry")


def test_every_step_changes_the_name(tmp_path: pathlib.Path) -> None:
    for name in ("pyproject.toml", "uv.lock", "requirements.txt", "script.py", "Dockerfile"):
        (tmp_path / name).write_text(name)
    made = [
        image(),
        image().with_pip_packages("httpx", pre=True),
        image().with_pip_packages("httpx"),
        image().with_apt_packages("git", secret_mounts="token"),
        image().with_requirements(tmp_path / "requirements.txt"),
        image().with_uv_project(tmp_path / "pyproject.toml"),
        image().with_uv_project(tmp_path / "pyproject.toml", project_install_mode="install_project"),
        image().with_poetry_project(tmp_path / "pyproject.toml"),
        image().with_pixi_project(tmp_path / "pyproject.toml", environment="gpu"),
        image().with_env_vars({"A": "b"}),
        image().with_commands(["true"]),
        image().with_workdir("/app"),
        image().with_source_file(tmp_path / "script.py"),
        image().with_source_folder(tmp_path, copy_contents_only=True),
        image().with_code_bundle(),
        image().with_dockerignore(tmp_path / "Dockerfile"),
        image().with_local_v2(),
        image().with_local_v2_plugins("flyteplugins-ray"),
        image().clone(python_version=(3, 13)),
        image().clone(platform="linux/arm64"),
        flyte.Image.from_uv_script(tmp_path / "script.py", name="mine", registry="registry"),
        flyte.Image.from_pixi_script(tmp_path / "script.py", name="mine", registry="registry"),
        flyte.Image.from_dockerfile(tmp_path / "Dockerfile", registry="registry", name="mine"),
    ]
    uris = [one.uri for one in made]
    assert len(set(uris)) == len(made) and all(uri.startswith("registry/mine:") for uri in uris)
    (tmp_path / "uv.lock").write_text("changed")
    assert made[5].uri != uris[5] and made[1].uri == uris[1]


def test_files_of_images_need_not_exist_where_the_task_runs(tmp_path: pathlib.Path) -> None:
    missing = image().with_requirements(tmp_path / "no.txt").with_uv_project(tmp_path / "no.toml")
    assert missing.uri and missing.missing_files() == [tmp_path / "no.txt", tmp_path / "no.toml"]
    environment = flyte.TaskEnvironment(name="missing-files", image=missing)
    with pytest.raises(flyte.errors.DeploymentError, match=r"missing-files is made with .*no\.txt"):
        _unheeded.check([environment])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: image().with_pip_packages("a", index="x"), "unknown option 'index'"),
        (lambda: image().with_uv_project("p", project_install_mode="all"), "project_install_mode"),  # type: ignore[arg-type]
        (lambda: image().with_source_file([pathlib.Path("a/x"), pathlib.Path("b/x")]), "same name"),
        (lambda: image().with_local_v2_plugins(["ray"]), "flyteplugins-"),
        (lambda: flyte.Image.from_dockerfile("f", "r", "n").with_apt_packages("git"), "cannot be added"),
        (lambda: image().clone(named="x"), "named"),  # type: ignore[call-arg]
    ],
)
def test_wrong_steps_are_named(make: Any, expected: str) -> None:
    with pytest.raises((ValueError, TypeError), match=expected):
        make()


def test_names_of_images_are_looked_up_when_they_are_needed(home: pathlib.Path) -> None:
    named = flyte.Image.from_ref_name("gpu")
    other = flyte.TaskEnvironment(name="usual")
    environment = flyte.TaskEnvironment(name="named", image=named)
    with pytest.raises(flyte.errors.InvalidImageNameError, match="no image named 'gpu'"):
        images_of([environment])
    flyte.init(images={"gpu": "registry/gpu:1"})
    assert images_of([environment]) == {"named": "registry/gpu:1"}
    assert named.with_apt_packages("git").uri.startswith("flyte:")
    assert uri_of("auto").startswith("ghcr.io/")
    # The name of the default image.
    flyte.init(images={"default": "registry/mine:2"})
    assert images_of([other]) == {"usual": "registry/mine:2"}


def test_the_images_of_the_configuration_are_used(home: pathlib.Path) -> None:
    (home / ".flyte").mkdir()
    (home / ".flyte/config.yaml").write_text("image:\n  image_refs:\n    gpu: registry/gpu:3\n")
    assert flyte.Image.from_ref_name("gpu").uri == "registry/gpu:3"


def test_what_has_no_effect_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    environment = flyte.TaskEnvironment(
        name="warned",
        image=image().with_apt_packages("git").with_pip_packages("httpx"),
        reusable=flyte.ReusePolicy(replicas=(1, 3), idle_ttl=60),
    )

    @environment.task(links=["https://example.com"])
    async def linked() -> None: ...

    with caplog.at_level(logging.WARNING, "flyte"):
        _unheeded.check([environment])
        _unheeded.check([environment])
        linked.override(reusable="off")
        linked.override(reusable=flyte.ReusePolicy())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert "image of the environment warned have no effect (apt, pip)" in said[0]
    assert "ReusePolicy of the environment warned has no effect" in said[1]
    assert "links of the task warned.linked" in said[2]
    assert "ReusePolicy of the task warned.linked" in said[3]

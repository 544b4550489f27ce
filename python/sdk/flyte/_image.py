"""Container images that tasks run in. The server's own runner runs tasks without containers and leaves images aside."""

from __future__ import annotations

import hashlib
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

# The published images that have `a0` and the protocol that this package speaks.
_DEFAULT = "ghcr.io/flyteorg/flyte:py{0}.{1}-v2.12.1"
# The image without it.
_PLAIN = "python:{0}.{1}-slim-bookworm"
# The name of the default image among those of the configuration; `flyte.init(images=["URI"])` names it the other way.
_DEFAULT_REFERENCES = ("default", "auto")
# What the steps that install packages take.
_INSTALL = frozenset({"index_url", "extra_index_urls", "pre", "extra_args", "secret_mounts"})
_MOUNTS = frozenset({"secret_mounts"})
# Directories that do not belong to a project's source.
_NO_SOURCE = frozenset({".git", "__pycache__", ".venv", "node_modules"})

# Images that a command names for this process. They take precedence over the configuration and `flyte.init`.
_named: dict[str, str] = {}

Path = str | pathlib.Path
InstallMode = Literal["dependencies_only", "install_project"]


@dataclass(frozen=True)
class Layer:
    """One step of building an image: its kind, what it says, and the files that it takes."""

    kind: str
    words: tuple[str, ...] = ()
    files: tuple[pathlib.Path, ...] = ()


@dataclass(frozen=True)
class Image:
    """An image by its name, or one to be built from it by layers.

    `Image.from_debian_base()` and `Image.from_base("registry/name:tag")` name one that is there already. The `with_` methods
    describe one to be built; building is the work of `docker build` or of a cluster's own builder, and its name is then given by
    `Image.from_base`. Files that layers name need not exist where the task runs.
    """

    base_image: str
    registry: str | None = None
    name: str | None = None
    layers: tuple[Layer, ...] = ()
    # The name of the base image in the configuration; see `from_ref_name`.
    reference: str | None = None
    # Whether layers can be added; None if nothing was said.
    extendable: bool | None = None
    # What only a builder needs: the platforms, and the secret of the registry.
    platform: tuple[str, ...] = ()
    registry_secret: Any = None

    @classmethod
    def from_debian_base(
        cls,
        python_version: tuple[int, int] | None = None,
        flyte_version: str | None = None,
        install_flyte: bool = True,
        registry: str | None = None,
        registry_secret: Any = None,
        name: str | None = None,
        platform: Any = None,
    ) -> Image:
        """The default image, for a version of Python (the running one)."""
        version = python_version or sys.version_info[:2]
        base = (_DEFAULT if install_flyte else _PLAIN).format(*version)
        if flyte_version is not None and install_flyte:
            base = f"{base.rpartition('-v')[0]}-v{flyte_version.removeprefix('v')}"
        return cls(base, registry, name, platform=_texts(platform), registry_secret=registry_secret)

    @classmethod
    def from_base(cls, image_uri: str) -> Image:
        """An image that is there already. Raises ValueError for an empty name."""
        if not image_uri:
            raise ValueError("an image needs a name, for example registry/name:tag")
        return cls(image_uri)

    @classmethod
    def from_ref_name(cls, name: str = _DEFAULT_REFERENCES[0]) -> Image:
        """The image that the configuration (`image.image_refs`) or `flyte.init(images=...)` gives this name. It is looked up when a
        task is run or deployed."""
        return cls("", reference=name)

    @classmethod
    def from_uv_script(
        cls,
        script: Path,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: Any = None,
        python_version: tuple[int, int] | None = None,
        platform: Any = None,
        **options: Any,
    ) -> Image:
        """With the packages that the header of a script names (PEP 723), as `uv run` reads it."""
        base = cls.from_debian_base(python_version, None, False, registry, registry_secret, name, platform)
        return base._with("uv script", _words(options, _INSTALL), [script])

    @classmethod
    def from_pixi_script(
        cls,
        script: Path,
        *,
        name: str,
        registry: str | None = None,
        registry_secret: Any = None,
        environment: str = "default",
        platform: Any = None,
        **options: Any,
    ) -> Image:
        """With the packages that the header of a script names (PEP 723), as `pixi run` reads it."""
        base = cls.from_debian_base(None, None, False, registry, registry_secret, name, platform)
        words = [f"environment={environment}", *_words(options, _MOUNTS | {"extra_args"})]
        return base._with("pixi script", words, [script])

    @classmethod
    def from_dockerfile(cls, file: Path, registry: str, name: str, platform: Any = None) -> Image:
        """An image that a Dockerfile describes. Layers cannot be added to it."""
        image = cls("", registry, name, platform=_texts(platform))._with("Dockerfile", [], [file])
        return replace(image, extendable=False)

    def clone(
        self,
        registry: str | None = None,
        registry_secret: Any = None,
        name: str | None = None,
        base_image: str | None = None,
        python_version: tuple[int, int] | None = None,
        extendable: bool | None = None,
        platform: Any = None,
    ) -> Image:
        """The same image under another name, or with other settings."""
        changed = replace(
            self,
            registry=registry or self.registry,
            registry_secret=registry_secret or self.registry_secret,
            name=name or self.name,
            base_image=base_image or self.base_image,
            extendable=self.extendable if extendable is None else extendable,
            platform=_texts(platform) or self.platform,
        )
        return changed._step("python", [".".join(map(str, python_version))]) if python_version else changed

    def _step(self, kind: str, words: Iterable[str] = (), files: Iterable[Path] = ()) -> Image:
        layer = Layer(kind, tuple(words), tuple(map(pathlib.Path, files)))
        return replace(self, layers=(*self.layers, layer))

    def _with(self, kind: str, words: Iterable[str] = (), files: Iterable[Path] = ()) -> Image:
        if self.extendable is False:
            raise ValueError(
                "layers cannot be added to this image: clone(extendable=True) allows that, and a Dockerfile has its own"
            )
        return self._step(kind, words, files)

    def with_pip_packages(self, *packages: str, **options: Any) -> Image:
        """With packages that pip installs."""
        return self._with("pip", [*packages, *_words(options, _INSTALL)])

    def with_apt_packages(self, *packages: str, secret_mounts: Any = None) -> Image:
        """With packages of the system."""
        return self._with("apt", [*packages, *_words({"secret_mounts": secret_mounts}, _MOUNTS)])

    def with_requirements(self, file: Path, **options: Any) -> Image:
        """With the packages that a requirements file names."""
        return self._with("requirements", _words(options, _INSTALL), [file])

    def with_uv_project(
        self,
        pyproject_file: Path,
        uvlock: Path | None = None,
        *,
        project_install_mode: InstallMode = "dependencies_only",
        **options: Any,
    ) -> Image:
        """With the dependencies of a project that uv manages, or (`install_project`) with the project itself."""
        return self._project(
            "uv", pyproject_file, uvlock, "uv.lock", project_install_mode, _words(options, _INSTALL)
        )

    def with_poetry_project(
        self,
        pyproject_file: Path,
        poetry_lock: Path | None = None,
        *,
        project_install_mode: InstallMode = "dependencies_only",
        **options: Any,
    ) -> Image:
        """With the dependencies of a project that Poetry manages, or (`install_project`) with the project itself."""
        words = _words(options, _MOUNTS | {"extra_args"})
        return self._project(
            "poetry", pyproject_file, poetry_lock, "poetry.lock", project_install_mode, words
        )

    def with_pixi_project(
        self,
        manifest_file: Path,
        pixi_lock: Path | None = None,
        environment: str = "default",
        *,
        project_install_mode: InstallMode = "dependencies_only",
        **options: Any,
    ) -> Image:
        """With an environment of a project that pixi manages, or (`install_project`) with the project itself."""
        words = [f"environment={environment}", *_words(options, _MOUNTS | {"extra_args"})]
        return self._project("pixi", manifest_file, pixi_lock, "pixi.lock", project_install_mode, words)

    def _project(
        self, kind: str, manifest: Path, lock: Path | None, usual: str, mode: InstallMode, words: list[str]
    ) -> Image:
        if mode not in ("dependencies_only", "install_project"):
            raise ValueError(f"project_install_mode is dependencies_only or install_project, not {mode!r}")
        manifest = pathlib.Path(manifest)
        beside = manifest.parent / usual
        locks = [lock] if lock is not None else [beside] if beside.exists() else []
        files = [manifest.parent] if mode == "install_project" else [manifest, *locks]
        return self._with(f"{kind} project", [mode, *words], files)

    def with_env_vars(self, env_vars: dict[str, str]) -> Image:
        """With environment variables."""
        return self._with("env", [f"{key}={value}" for key, value in sorted(env_vars.items())])

    def with_commands(self, commands: Sequence[str], secret_mounts: Any = None) -> Image:
        """With commands that are run while it is built."""
        return self._with("run", [*commands, *_words({"secret_mounts": secret_mounts}, _MOUNTS)])

    def with_workdir(self, workdir: str) -> Image:
        """With another working directory."""
        return self._with("workdir", [workdir])

    def with_source_file(self, src: Path | Sequence[Path], dst: str = ".") -> Image:
        """With files of this machine. Raises ValueError if two of them have the same name."""
        files = [src] if isinstance(src, (str, pathlib.Path)) else list(src)
        names = [pathlib.Path(file).name for file in files]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"files with the same name would overwrite each other in {dst}: {', '.join(twice)}"
            )
        return self._with("source file", [dst], files)

    def with_source_folder(self, src: Path, dst: str = ".", copy_contents_only: bool = False) -> Image:
        """With a directory of this machine, or only with what is in it."""
        return self._with("source folder", [dst, *(["contents"] if copy_contents_only else [])], [src])

    def with_code_bundle(
        self, copy_style: Literal["loaded_modules", "all"] = "loaded_modules", dst: str = "."
    ) -> Image:
        """With the code, for runs with `copy_style="none"`."""
        return self._with("code", [copy_style, dst])

    def with_dockerignore(self, path: Path) -> Image:
        """With a file that names what source directories leave out."""
        return self._with(".dockerignore", [], [path])

    def with_local_v2(self) -> Image:
        """With the package `flyte` that the developer of the image has, instead of the base image's."""
        return self._with("wheel", ["flyte"])

    def with_local_v2_plugins(self, plugins: str | Sequence[str] | None = None) -> Image:
        """With plugins that the developer of the image has. Raises ValueError for other names than `flyteplugins-...`."""
        names = [plugins] if isinstance(plugins, str) else list(plugins or [])
        for name in names:
            if not name.startswith("flyteplugins-"):
                raise ValueError(f"the name of a plugin begins with flyteplugins-, so it is not {name!r}")
        return self._with("wheel", names) if names else self

    @property
    def is_built(self) -> bool:
        """Whether it has to be built before a cluster can use it."""
        return bool(self.layers)

    def missing_files(self) -> list[pathlib.Path]:
        """The files of layers that do not exist on this machine."""
        return [file for layer in self.layers for file in layer.files if not file.exists()]

    @property
    def uri(self) -> str:
        """The image's name. One that is to be built has a tag of its layers' hash.

        Raises `flyte.errors.InvalidImageNameError` if it is a reference to an image that the configuration does not have.
        """
        base = self.base_image if self.reference is None else _referenced(self.reference)
        if not self.layers and self.registry is None and self.name is None:
            return base
        hasher = hashlib.md5(repr((base, self.platform)).encode(), usedforsecurity=False)
        for layer in self.layers:
            hasher.update(repr((layer.kind, layer.words)).encode())
            for file in layer.files:
                for name, data in _contents(file):
                    hasher.update(f"{name}:{len(data)}:".encode() + data)
        name = f"{self.name or 'flyte'}:{hasher.hexdigest()}"
        return f"{self.registry}/{name}" if self.registry else name


def _texts(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _words(options: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """What options say. Raises TypeError for one that there is not."""
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r} of an image; known are {', '.join(sorted(known))}")
    return [f"{key}={value}" for key, value in sorted(options.items()) if value not in (None, False, (), [])]


def _contents(file: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """The content of a file, or of all files of a directory; nothing of one that does not exist."""
    if file.is_dir():
        for path in sorted(file.rglob("*")):
            name = path.relative_to(file)
            if path.is_file() and not _NO_SOURCE.intersection(name.parts):
                yield name.as_posix(), path.read_bytes()
    elif file.is_file():
        yield file.name, file.read_bytes()


def _references() -> Mapping[str, str]:
    """The images that have names: of `flyte.init`, or of the configuration if that was not called."""
    from flyte import config
    from flyte._initialize import initialized, is_initialized

    known = initialized().images if is_initialized() else config.auto().image.image_refs
    return {**known, **_named}


def name_images(images: Mapping[str, str]) -> None:
    """Names images for this process."""
    _named.update(images)


def _referenced(name: str) -> str:
    from flyte.errors import InvalidImageNameError

    references = _references()
    if name not in references:
        known = ", ".join(sorted(references)) or "none"
        raise InvalidImageNameError(
            "InvalidImageName",
            f"there is no image named {name!r}; known are: {known}. Set image.image_refs in the configuration, or flyte.init(images=...)",
        )
    return references[name]


def image_of(image: str | Image | None) -> Image:
    """The image that an environment's `image` names; `auto` and None are the default one."""
    if image is None or image == "auto":
        return Image.from_debian_base()
    return Image.from_base(image) if isinstance(image, str) else image


def uri_of(image: str | Image | None) -> str:
    """The name of the image that an environment's `image` names. The configuration can name another default."""
    if image is None or image == "auto":
        references = _references()
        for name in _DEFAULT_REFERENCES:
            if name in references:
                return references[name]
    return image_of(image).uri

"""Container images that tasks run in. The server's own runner runs tasks without containers and leaves images aside."""

from __future__ import annotations

import hashlib
import pathlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

# The published images that have `a0` and the protocol that this package speaks.
_DEFAULT = "ghcr.io/flyteorg/flyte:py{0}.{1}-v2.12.1"


@dataclass(frozen=True)
class Image:
    """An image by its name, or one to be built from it by layers.

    `Image.from_debian_base()` and `Image.from_base("registry/name:tag")` name one that is there already. The `with_` methods
    describe one to be built; building is the work of `docker build` or of a cluster's own builder, and its name is then given by
    `Image.from_base`.
    """

    base_image: str
    registry: str | None = None
    name: str | None = None
    layers: tuple[tuple[str, ...], ...] = ()

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
        base = _DEFAULT.format(*(python_version or sys.version_info[:2]))
        if flyte_version is not None:
            base = f"{base.rpartition('-v')[0]}-v{flyte_version.removeprefix('v')}"
        return cls(base, registry, name)

    @classmethod
    def from_base(cls, image_uri: str) -> Image:
        """An image that is there already. Raises ValueError for an empty name."""
        if not image_uri:
            raise ValueError("an image needs a name, for example registry/name:tag")
        return cls(image_uri)

    def clone(self, registry: str | None = None, name: str | None = None, **ignored: Any) -> Image:
        """The same image under another name."""
        return replace(self, registry=registry or self.registry, name=name or self.name)

    def _with(self, *layer: str) -> Image:
        return replace(self, layers=(*self.layers, layer))

    def with_pip_packages(self, *packages: str, **options: Any) -> Image:
        """With packages that pip installs."""
        return self._with("pip", *packages, *(f"{key}={value}" for key, value in sorted(options.items())))

    def with_apt_packages(self, *packages: str, **options: Any) -> Image:
        """With packages of the system."""
        return self._with("apt", *packages)

    def with_requirements(self, file: str | pathlib.Path, **options: Any) -> Image:
        """With the packages that a requirements file names."""
        return self._with("requirements", pathlib.Path(file).read_text())

    def with_env_vars(self, env_vars: dict[str, str]) -> Image:
        """With environment variables."""
        return self._with("env", *(f"{key}={value}" for key, value in sorted(env_vars.items())))

    def with_commands(self, commands: Sequence[str], **options: Any) -> Image:
        """With commands that are run while it is built."""
        return self._with("run", *commands)

    def with_workdir(self, workdir: str) -> Image:
        """With another working directory."""
        return self._with("workdir", workdir)

    @property
    def uri(self) -> str:
        """The image's name. One that is to be built has a tag of its layers' hash."""
        if not self.layers and self.registry is None and self.name is None:
            return self.base_image
        text = repr((self.base_image, self.layers)).encode()
        tag = hashlib.md5(text, usedforsecurity=False).hexdigest()
        name = f"{self.name or 'flyte'}:{tag}"
        return f"{self.registry}/{name}" if self.registry else name


def image_of(image: str | Image | None) -> Image:
    """The image that an environment's `image` names; `auto` and None are the default one."""
    if image is None or image == "auto":
        return Image.from_debian_base()
    return Image.from_base(image) if isinstance(image, str) else image

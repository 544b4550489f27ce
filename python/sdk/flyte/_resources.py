"""What a task needs of the machine that it runs on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Union

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|[KMGTPE]i?)?|\d+(\.\d+)?e\d+")
CPUType = Union[int, float, str]  # noqa: UP007

# Names that nodes are labelled with, by the names that tasks use.
_ACCELERATORS = {
    "A100": "nvidia-tesla-a100",
    "A100_80G": "nvidia-a100-80gb",
    "H100": "nvidia-tesla-h100",
    "A10": "nvidia-a10",
    "A10G": "nvidia-a10g",
    "L4": "nvidia-l4",
    "L40s": "nvidia-l40s",
    "K80": "nvidia-tesla-k80",
    "M60": "nvidia-tesla-m60",
    "P4": "nvidia-tesla-p4",
    "P100": "nvidia-tesla-p100",
    "RTX_PRO_4500": "nvidia-rtx-pro-4500",
    "RTX_PRO_6000": "nvidia-rtx-pro-6000",
    "T4": "nvidia-tesla-t4",
    "V100": "nvidia-tesla-v100",
    "V5E": "tpu-v5-lite-podslice",
    "V5P": "tpu-v5p-slice",
    "V6E": "tpu-v6e-slice",
}
_CLASSES = {
    "GPU": "NVIDIA_GPU",
    "TPU": "GOOGLE_TPU",
    "NEURON": "AMAZON_NEURON",
    "AMD_GPU": "AMD_GPU",
    "HABANA_GAUDI": "HABANA_GAUDI",
}


@dataclass(frozen=True)
class Device:
    """Accelerators: how many, of which class and kind, and which part of each."""

    quantity: int
    device_class: str = "GPU"
    device: str | None = None
    partition: str | None = None

    def __post_init__(self) -> None:
        if self.quantity < 1:
            raise ValueError(f"quantity of a Device is at least 1, not {self.quantity}")
        if self.device_class not in _CLASSES:
            raise ValueError(f"a device's class is one of {', '.join(_CLASSES)}, not {self.device_class!r}")


def GPU(device: str, quantity: int, partition: str | None = None) -> Device:
    """GPUs of a kind, for example `GPU("A100", 2)`."""
    return Device(quantity, "GPU", device, partition)


def TPU(device: str, partition: str | None = None) -> Device:
    """TPUs, for example `TPU("V5E", "2x2")`."""
    return Device(1, "TPU", device, partition)


@dataclass(frozen=True)
class Resources:
    """What a task asks for: processors (`2`, `"500m"`), memory and disk (`"1Gi"`), accelerators (`1`, `"A100:2"`, a Device) and shared
    memory (`"1Gi"`, or `"auto"`). A pair of processors or memory is what is asked for and what may be used at most.

    Raises ValueError naming the field with a quantity that is none.
    """

    cpu: CPUType | tuple[CPUType, CPUType] | None = None
    memory: str | tuple[str, str] | None = None
    gpu: str | int | Device | None = None
    disk: str | None = None
    shm: str | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        for name in ("cpu", "memory"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != 2:
                raise ValueError(f"{name} is one quantity or a pair, not {value!r}")
            for one in value if isinstance(value, tuple) else (value,):
                _check(name, one)
        _check("disk", self.disk)
        if self.shm != "auto":
            _check("shm", self.shm)
        self.get_device()

    def get_device(self) -> Device | None:
        """The accelerators, or None. Raises ValueError if `gpu` names none."""
        if self.gpu is None or isinstance(self.gpu, Device):
            return self.gpu
        if isinstance(self.gpu, bool) or not isinstance(self.gpu, (int, str)):
            raise ValueError(
                f"gpu must be a number, a name (for example 'A100:2') or a Device, not {self.gpu!r}"
            )
        if isinstance(self.gpu, int):
            if self.gpu < 0:
                raise ValueError("gpu is not negative")
            return Device(self.gpu) if self.gpu else None
        name, _, count = self.gpu.partition(":")
        if not name or (count and not count.isdigit()):
            raise ValueError(
                f"gpu must be a number, a name (for example 'A100:2') or a Device, not {self.gpu!r}"
            )
        kind = "TPU" if re.fullmatch(r"V\d[EP]", name) else "GPU"
        return Device(int(count or 1), kind, name)

    def to_wire(self) -> dict[str, object] | None:
        """`flyteidl2.core.Resources`, or None if nothing is requested."""
        requests: list[dict[str, str]] = []
        limits: list[dict[str, str]] = []
        for name, value in (("CPU", self.cpu), ("MEMORY", self.memory)):
            if value is None:
                continue
            pair = value if isinstance(value, tuple) else (value,)
            for entries, one in zip((requests, limits), pair, strict=False):
                entries.append({"name": name, "value": str(one)})
        device = self.get_device()
        if device is not None:
            requests.append({"name": "GPU", "value": str(device.quantity)})
        if self.disk is not None:
            requests.append({"name": "EPHEMERAL_STORAGE", "value": self.disk})
        found = {"requests": requests, "limits": limits}
        return {key: value for key, value in found.items() if value} or None

    def extended_to_wire(self) -> dict[str, object] | None:
        """`flyteidl2.core.ExtendedResources`, or None if nothing of that kind is requested."""
        found: dict[str, object] = {}
        device = self.get_device()
        if device is not None and device.device is not None and not isinstance(self.gpu, int):
            accelerator = {
                "device": _ACCELERATORS.get(device.device, device.device),
                "deviceClass": _CLASSES[device.device_class],
            }
            if device.partition:
                accelerator["partitionSize"] = device.partition
            if accelerator["deviceClass"] == "NVIDIA_GPU":
                # The default, which is not written.
                del accelerator["deviceClass"]
            found["gpuAccelerator"] = accelerator
        if self.shm is not None:
            shared = {"mountPath": "/dev/shm", "mountName": "flyte-shm"}
            if self.shm != "auto":
                shared["sizeLimit"] = self.shm
            found["sharedMemory"] = shared
        return found or None


def _check(name: str, value: object) -> None:
    if value is None:
        return
    if name == "cpu" and isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise ValueError(
            f"{name} must be a quantity, for example {'500m' if name == 'cpu' else '1Gi'}, not {value!r}"
        )

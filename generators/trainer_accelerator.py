"""accelerate's part: the device, mixed precision, gradient accumulation, several processes.

`accelerate launch` (or torchrun) starts several processes; each takes its part of every batch, and the first alone
writes. ACCELERATE_USE_CPU=true keeps a run off the GPU.
"""

from __future__ import annotations

from typing import Any

import torch

from decoder.errors import RecipeError
from generators.model import GenerativeModel
from generators.sections import TrainingSection


def make_accelerator(section: TrainingSection) -> Any:
    """accelerate's, as the recipe and `accelerate launch` say.

    Raises:
        RecipeError: this machine cannot train in that precision, or accelerate is configured to shard the weights.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs  # type: ignore[import-untyped]
    from accelerate.state import AcceleratorState  # type: ignore[import-untyped]

    AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # a phase's loss uses part of the model
    remedy = "Set training.mixed_precision to bf16 or no"
    try:
        accelerator = Accelerator(
            mixed_precision=section.mixed_precision,
            gradient_accumulation_steps=section.gradient_accumulation,
            kwargs_handlers=[unused],
        )
    except ValueError as error:
        raise RecipeError("starting accelerate", str(error).strip(), remedy) from error
    if section.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise RecipeError("starting accelerate", "a CPU does not train in fp16", remedy)
    kind = str(accelerator.distributed_type.value)
    if kind in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
        cause = f"every process keeps whole weights here, and accelerate is configured for {kind}"
        raise RecipeError("starting accelerate", cause, "Launch several processes without it")
    return accelerator


def prepared(accelerator: Any, model: GenerativeModel) -> Any:
    """The model on its device, its `forward` in mixed precision and, in several processes, with shared gradients."""
    return accelerator.prepare_model(model)


def summed(accelerator: Any, *values: float) -> list[float]:
    """Each value summed over the processes."""
    if accelerator.num_processes == 1:
        return list(values)
    kind = torch.float32 if accelerator.device.type == "mps" else torch.float64
    total: torch.Tensor = accelerator.reduce(torch.tensor(values, dtype=kind, device=accelerator.device), "sum")
    return [float(value) for value in total]

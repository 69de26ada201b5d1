"""How long a run would take, from one micro-batch that was really run: forward and backward, with the real model."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.models import load_decoder, resolve
from alignment.token_mask import TokenSequence

if TYPE_CHECKING:
    from alignment.sections import Recipe

IGNORED = -100
ONLINE = ("ppo", "grpo", "rloo")
PAIRED = ("dpo", "kto")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    Attributes:
        micro_step: of one forward and backward pass; 0 when nothing was measured.
        step: of an optimizer step's micro-steps together.
        total: of all steps.
        tokens: of the micro-batch, padding included.
        device: where it ran.
        includes: what was measured, and what was not.
        skipped: why nothing was measured; empty when it was.
    """

    micro_step: float = 0.0
    step: float = 0.0
    total: float = 0.0
    tokens: int = 0
    device: str = ""
    includes: str = ""
    skipped: str = ""


def time_micro_step(
    recipe: Recipe, args: Any, batch: Sequence[TokenSequence], pad: int, steps: int, needed: int
) -> Timing:
    """Run one micro-batch twice and time the second; the weights are loaded, and left as they are.

    Args:
        batch: the sequences of a micro-batch.
        pad: the pad token's id.
        steps: optimizer steps of the run.
        needed: bytes that it will take; more than there are, and nothing is run.

    Raises:
        ModelError: the model is there and cannot be loaded.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() and not args.use_cpu else "cpu"
    if recipe.model.path and not Path(resolve(recipe.model.path)).is_dir():
        return Timing(skipped="the model is not on this machine")
    if needed > (free := free_memory(device)):
        return Timing(skipped=f"it would need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
    model = _model(recipe).to(device)
    inputs = _inputs(batch, pad, device)
    run = _step(model, args, inputs, device, recipe.stage)
    run()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    step = seconds * args.gradient_accumulation_steps * _updates(recipe, args)
    return Timing(
        micro_step=seconds,
        step=step,
        total=step * steps,
        tokens=int(inputs["input_ids"].numel()),
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        includes=_includes(recipe.stage),
    )


def free_memory(device: str) -> int:
    """Bytes that can still be had there."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    import psutil  # type: ignore[import-untyped]

    return int(psutil.virtual_memory().available)


def _model(recipe: Recipe) -> Any:
    """The model as it is trained, or for a new one, one of its shape."""
    if recipe.model.path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that it has given up
            return load_decoder(recipe.model, recipe.lora)
    from transformers import AutoModelForCausalLM

    from alignment.model_shape import configuration

    make: Any = AutoModelForCausalLM.from_config
    return make(configuration(recipe), trust_remote_code=False)


def _inputs(batch: Sequence[TokenSequence], pad: int, device: str) -> dict[str, Any]:
    """Padded on the right: ids, mask and labels, each [sequences, tokens]."""
    import torch

    longest = max(len(one.ids) for one in batch)
    rows: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
    for one in batch:
        spare = longest - len(one.ids)
        rows["input_ids"].append([*one.ids, *[pad] * spare])
        rows["attention_mask"].append([1] * len(one.ids) + [0] * spare)
        labels = [token if live else IGNORED for token, live in zip(one.ids, one.live, strict=True)]
        rows["labels"].append([*labels, *[IGNORED] * spare])
    return {name: torch.tensor(values, device=device) for name, values in rows.items()}


def _step(model: Any, args: Any, inputs: dict[str, Any], device: str, stage: str) -> Any:
    """A function that runs one micro-step to its end."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    # TRL's own output layer, which keeps no logits: what its trainers really run.
    add_fused_lm_head(model.get_base_model() if hasattr(model, "peft_config") else model)
    model.train()
    if getattr(args, "activation_checkpointing", False):
        model.activation_checkpointing_enable()
    mixed = torch.autocast(device, torch.bfloat16) if args.bf16 else contextlib.nullcontext()

    def run() -> None:
        with mixed:
            if stage in PAIRED:
                with torch.no_grad():
                    model(**inputs, fused_lm_head=True)
            loss = model(**inputs, fused_lm_head=True).loss
        loss.backward()
        model.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def _updates(recipe: Recipe, args: Any) -> int:
    """Passes over a step's rows."""
    return int(args.num_ppo_epochs * args.num_mini_batches) if recipe.stage == "ppo" else 1


def _includes(stage: str) -> str:
    common = "data loading, evaluation and checkpoints are not"
    if stage in ONLINE:
        return f"the update alone; writing completions, the reward, the reference and {common} included"
    if stage in PAIRED:
        return f"forward, backward and the reference's forward; the optimizer, {common} included"
    return f"forward and backward; the optimizer, {common} included"


def padded_prompts(sequences: Sequence[TokenSequence], tokens: int, filler: int) -> list[TokenSequence]:
    """Prompts with `tokens` of a completion each, as long as one may be."""
    return [
        TokenSequence(one.name, (*one.ids, *[filler] * tokens), (*one.live, *[True] * tokens), one.prompt, "", ())
        for one in sequences
    ]


def packed_sequences(sequences: Sequence[TokenSequence], count: int, length: int) -> list[TokenSequence]:
    """`count` sequences of `length` tokens, filled with those given, as packing fills them."""
    ids = [token for one in sequences for token in one.ids]
    live = [flag for one in sequences for flag in one.live]
    times = -(-length // len(ids))
    return [TokenSequence("", tuple(ids * times)[:length], tuple(live * times)[:length], 0, "", ())] * count

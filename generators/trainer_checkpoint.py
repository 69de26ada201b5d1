"""What a run goes on from, to the last bit.

checkpoint-N/
  model.safetensors     weights and buffers as they were trained
  best.safetensors      the weights with the best held-out bound so far, where a recipe stops early
  trainer_state.json    step, seconds spent, figures since the last line, what the evaluations found
  training_state.pt     optimisers, averages, order of the pictures, the alarms' memory
  random-R.pt           random states of process R
  whole.json            see decoder/runs/checkpoints.py, which makes it whole or not there
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from decoder.errors import TrainingError
from decoder.runs.checkpoints import PARTIAL, STATE, clear_partial, failed, is_whole, publish, readable
from decoder.runs.folder import RunFolder
from decoder.runs.random_states import random_states, set_random_states
from generators.model import WEIGHTS
from generators.trainer_accelerator import summed

KEPT = 2
"""Checkpoints that stay: the last, and the one before in case the last is damaged."""
BEST, TRAINING = "best.safetensors", "training_state.pt"
FAULTS = (OSError, RuntimeError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is saved beside the weights.

    Attributes:
        plain: JSON data.
        training: data with tensors, which torch saves.
        best: weights by name; empty for none.
    """

    plain: Mapping[str, Any]
    training: Mapping[str, Any]
    best: Mapping[str, Tensor] = field(default_factory=dict)


def save_checkpoint(folder: RunFolder, step: int, model: nn.Module, checkpoint: Checkpoint, accelerator: Any) -> None:
    """Write `checkpoint-<step>`; every process calls this.

    Raises:
        CheckpointFailed: it could not be written; earlier ones are whole.
    """
    target = folder.path / f"checkpoint-{step}"
    aside = folder.path / PARTIAL / target.name
    main = accelerator.is_main_process

    def begin() -> None:
        clear_partial(folder.path)
        aside.mkdir(parents=True)

    def write() -> None:
        torch.save(random_states(), aside / f"random-{accelerator.process_index}.pt")
        if main:
            _write(aside, model, checkpoint, accelerator)

    for work in (begin if main else None, write, (lambda: publish(aside, target)) if main else None):
        _together(work, folder, step, accelerator)
    if main:
        clear_partial(folder.path)
        for old in [found for found in folder.checkpoints() if is_whole(found)][:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(place: Path, model: nn.Module, accelerator: Any) -> Checkpoint:
    """Put weights and random states back, and return the rest.

    Raises:
        TrainingError: it is damaged, or was written by another number of processes.
    """
    from safetensors.torch import load_file, load_model

    with readable(place):
        plain = json.loads((place / STATE).read_text(encoding="utf-8"))
        if plain["processes"] == accelerator.num_processes:
            training = torch.load(place / TRAINING, weights_only=True, map_location="cpu")
            states = torch.load(place / f"random-{accelerator.process_index}.pt", weights_only=True)
            best = load_file(place / BEST) if (place / BEST).exists() else {}
            load_model(model, str(place / WEIGHTS))
    if plain["processes"] != accelerator.num_processes:
        cause = f"the run began with {plain['processes']} processes and there are {accelerator.num_processes} now"
        raise TrainingError("resuming", cause, "Resume with as many as it began with")
    if accelerator.scaler is not None and plain["scaler"]:
        accelerator.scaler.load_state_dict(plain["scaler"])
    set_random_states(states)
    return Checkpoint(plain, training, best)


def _write(aside: Path, model: nn.Module, checkpoint: Checkpoint, accelerator: Any) -> None:
    from safetensors.torch import save_file, save_model

    save_model(model, str(aside / WEIGHTS))
    if checkpoint.best:
        save_file(dict(checkpoint.best), aside / BEST)
    torch.save(dict(checkpoint.training), aside / TRAINING)
    scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else None
    plain = {**checkpoint.plain, "processes": accelerator.num_processes, "scaler": scaler}
    (aside / STATE).write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def _together(work: Callable[[], None] | None, folder: RunFolder, step: int, accelerator: Any) -> None:
    """Do this process's part, and raise CheckpointFailed in every process when one of them could not do its own."""
    fault: Exception | None = None
    try:
        if work is not None:
            work()
    except FAULTS as error:
        fault = error
    (faults,) = summed(accelerator, float(fault is not None))
    if not faults:
        return
    if accelerator.is_main_process:
        clear_partial(folder.path)
    raise failed(step, folder.path, fault or OSError("another process could not")) from fault

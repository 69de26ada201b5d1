"""What a PPO run goes on from, to the last bit: trained weights, optimizer, schedule, random states, step, KL control.

checkpoint-N/
  trained.safetensors   every trained parameter of policy and critic, by name
  state.json            step, KL control, the schedule's state, the data's hash, the number of processes
  optimizer.pt          the optimizer's state
  random-R.pt           random states of process R
  whole.json            see checkpoints.py, which makes it whole or not there
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from alignment.errors import ModelError
from decoder.runs.checkpoints import PARTIAL, clear_partial, failed, is_whole, publish
from decoder.runs.folder import RunFolder
from decoder.runs.random_states import random_states, set_random_states

WEIGHTS, STATE, OPTIMIZER = "trained.safetensors", "state.json", "optimizer.pt"


def save(folder: RunFolder, state: dict[str, Any], model: Any, optimizer: Any, accelerator: Any, keep: int = 0) -> Path:
    """Write `checkpoint-<state["step"]>`; every process calls this.

    Args:
        state: JSON data with the key `step`.
        keep: how many checkpoints to keep; 0 keeps all.

    Raises:
        CheckpointFailed: it could not be written; earlier ones are whole.
    """
    target = folder.path / f"checkpoint-{state['step']}"
    aside = folder.path / PARTIAL / target.name
    main = accelerator.is_main_process
    state = {**state, "processes": accelerator.num_processes}
    if accelerator.scaler is not None:
        state["scaler"] = accelerator.scaler.state_dict()

    def begin() -> None:
        clear_partial(folder.path)
        aside.mkdir(parents=True)

    def write() -> None:
        torch.save(random_states(), aside / f"random-{accelerator.process_index}.pt")
        if main:
            _write(aside, state, accelerator.unwrap_model(model), optimizer)

    for work in (begin if main else None, write, (lambda: publish(aside, target)) if main else None):
        _together(work, folder, state["step"], accelerator)
    if main:
        clear_partial(folder.path)
        for old in [found for found in folder.checkpoints() if is_whole(found)][:-keep] if keep else []:
            shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()
    return target


def load(checkpoint: Path, model: Any, optimizer: Any, accelerator: Any) -> dict[str, Any]:
    """Put everything back as it was, random states included, and return `state`.

    Raises:
        ModelError: it is damaged, or of another model or number of processes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Any] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        weights = load_file(checkpoint / WEIGHTS)
        optimized = torch.load(checkpoint / OPTIMIZER, weights_only=True, map_location="cpu")
        states = torch.load(checkpoint / f"random-{accelerator.process_index}.pt", weights_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        remedy = "Remove it, and resume from the one before it"
        raise ModelError("resuming", f"{checkpoint} cannot be read: {error}", remedy) from error
    if state["processes"] != accelerator.num_processes:
        cause = f"the run began with {state['processes']} processes and there are {accelerator.num_processes} now"
        raise ModelError("resuming", cause, "Resume with as many as it began with")
    _put(weights, trained(accelerator.unwrap_model(model)), checkpoint)
    optimizer.load_state_dict(optimized)
    if accelerator.scaler is not None and "scaler" in state:
        accelerator.scaler.load_state_dict(state["scaler"])
    set_random_states(states)
    return state


def save_result(folder: RunFolder, policy: Any, tokenizer: Any, step: int) -> None:
    """Leave the policy, adapter or whole, and its tokenizer in `folder.model`. Raises CheckpointFailed."""
    aside = folder.path / ".model"
    only = {"selected_adapters": ["default"]} if hasattr(policy, "peft_config") else {}
    try:
        shutil.rmtree(aside, ignore_errors=True)
        policy.save_pretrained(str(aside), **only)
        tokenizer.save_pretrained(str(aside))
        (aside / "README.md").unlink(missing_ok=True)
        shutil.rmtree(folder.model, ignore_errors=True)
        aside.replace(folder.model)
    except _FAULTS as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise failed(step, folder.path, error) from error


def trained(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name; tied ones once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _write(aside: Path, state: dict[str, Any], model: Any, optimizer: Any) -> None:
    from safetensors.torch import save_file

    weights = {name: parameter.detach().contiguous() for name, parameter in trained(model).items()}
    save_file(weights, aside / WEIGHTS)
    torch.save(optimizer.state_dict(), aside / OPTIMIZER)
    (aside / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")


def _put(weights: dict[str, torch.Tensor], parameters: dict[str, torch.nn.Parameter], checkpoint: Path) -> None:
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if shapes != {name: tuple(value.shape) for name, value in parameters.items()}:
        raise ModelError("resuming", f"{checkpoint} is of another model", "Resume with the run's own recipe.yaml")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def _together(work: Callable[[], None] | None, folder: RunFolder, step: int, accelerator: Any) -> None:
    """Do this process's part, and raise CheckpointFailed in every process when one of them could not do its own."""
    fault: Exception | None = None
    try:
        if work is not None:
            work()
    except _FAULTS as error:
        fault = error
    faults = accelerator.reduce(torch.tensor(float(fault is not None), device=accelerator.device), reduction="sum")
    if not float(faults):
        return
    if accelerator.is_main_process:
        clear_partial(folder.path)
    raise failed(step, folder.path, fault or OSError("another process could not")) from fault


def _faults() -> tuple[type[Exception], ...]:
    from safetensors import SafetensorError

    return OSError, RuntimeError, SafetensorError


_FAULTS = _faults()

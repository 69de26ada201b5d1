"""One AdamW for each phase, made at the phase's first step; learning rates over the run's progress; gradient clipping.

Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2 (AdamW; with weight decay 0 it
is Adam); Loshchilov and Hutter, SGDR (2017), equation 5 (the cosine).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

from generators.model import GenerativeModel, Phase
from generators.pictures import Pictures
from generators.sections import TrainingSection


def learning_rate_factor(section: TrainingSection, step: int, progress: float) -> float:
    """What a phase's learning rate is multiplied by in the update after `step` updates, at `progress` in [0, 1].

    It rises linearly over `warmup_steps` and falls to 0 at the run's end, unless it is constant.
    """
    warmup = min(1.0, (step + 1) / section.warmup_steps) if section.warmup_steps else 1.0
    left = 1 - min(progress, 1.0)
    fall = {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left))}
    return warmup * fall[section.learning_rate_schedule]


class Optimizers:
    """The phases' optimisers, and whose turn it is to have gradients."""

    def __init__(self, model: GenerativeModel, pictures: Pictures, accelerator: Any) -> None:
        self._model, self._pictures, self._accelerator = model, pictures, accelerator
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self._made: dict[str, Any] = {}
        self._phases: dict[str, Phase] = {}
        self._parameters: dict[str, list[nn.Parameter]] = {}
        self._turn = ""

    def begin(self, phase: Phase) -> Any:
        """The phase's optimiser, its parts alone with gradients; `model.before` is called the first time."""
        if phase.name not in self._made:
            self._model.before(phase.name, self._pictures)
            self._make(phase)
        if self._turn != phase.name:
            self._focus(phase)
        return self._made[phase.name]

    def release(self) -> None:
        """Let every part have gradients again that had them."""
        if self._turn:
            for parameter in self._trainable:
                parameter.requires_grad_(True)
            self._turn = ""

    def parameters(self, phase: Phase) -> list[nn.Parameter]:
        """What the phase updates, each parameter once."""
        if phase.name not in self._parameters:
            named = (p for part in phase.parts for p in self._model.get_submodule(part).parameters())
            trainable = {id(p) for p in self._trainable}
            self._parameters[phase.name] = list({id(p): p for p in named if id(p) in trainable}.values())
        return self._parameters[phase.name]

    def state(self) -> dict[str, Any]:
        """Of each phase that has begun: what it is, and its optimiser's state."""
        return {
            name: {"phase": dataclasses.asdict(self._phases[name]), "optimizer": made.optimizer.state_dict()}
            for name, made in self._made.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Make the optimisers anew, as they were; `model.before` is not called again."""
        for name, each in state.items():
            self._make(Phase(**each["phase"]))
            self._made[name].optimizer.load_state_dict(each["optimizer"])

    def _make(self, phase: Phase) -> None:
        optimizer = torch.optim.AdamW(
            self.parameters(phase),
            phase.learning_rate,
            phase.betas,
            weight_decay=phase.weight_decay,
            fused=self._accelerator.device.type in ("cpu", "cuda"),  # a fifth of the time where parts are small
        )
        self._made[phase.name] = self._accelerator.prepare_optimizer(optimizer)
        self._phases[phase.name] = phase

    def _focus(self, phase: Phase) -> None:
        mine = {id(p) for p in self.parameters(phase)}
        for parameter in self._trainable:
            parameter.requires_grad_(id(parameter) in mine)
        self._turn = phase.name


def clip(accelerator: Any, optimizer: Any, parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Scale the gradients so that their norm is at most `max_norm`, and return what it was."""
    accelerator.unscale_gradients(optimizer)
    return torch.nn.utils.clip_grad_norm_(parameters, max_norm)

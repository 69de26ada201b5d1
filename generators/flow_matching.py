"""Flow matching along straight paths: a network learns the velocity from noise to a picture, and sampling follows it.

x_s = (1 - s) x_1 + s e, with the picture x_1 at s = 0 and noise e at s = 1; its velocity is dx/ds = e - x_1 (Lipman et
al. 2022, equation 23 with sigma_min 0; Liu et al. 2022, equation 1), in the direction and with the names of diffusers'
FlowMatchEulerDiscreteScheduler, which follows it back from s = 1 to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from decoder.errors import RecipeError
from generators.diffusion_network import PatchedUNet, UNetConfig
from generators.diffusion_process import held_out_error, spread_times
from generators.diffusion_sampling import asked_labels, draw, sampling_scheduler
from generators.guidance import asked_scale, drop_labels, guided_within
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_options
from generators.pictures import Batch, Pictures

OPTIONS = ("scheduler", "steps", "guidance_scale", "guidance_interval")
TIMES = 1000
"""The network is told s * 1000, as diffusers' flow schedulers say it."""


@dataclass(frozen=True, slots=True)
class FlowMatchingConfig:
    """Keys of `model:`.

    Attributes:
        unet: the network's size.
        times: how s is drawn in training: `uniform`, or `logit_normal`, which favours the middle (Esser et al. 2024,
            section 3.1).
        conditional: learn the classes, where the pictures have labels.
        label_dropout: the share of labels that is hidden in training, for guidance.
        learning_rate, betas, weight_decay: of AdamW.
        guidance_scale: that `sample` uses where none is asked for; 1 means none.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    times: Literal["uniform", "logit_normal"] = "uniform"
    conditional: bool = True
    label_dropout: float = 0.1
    learning_rate: float = 2e-3
    betas: tuple[float, ...] = (0.9, 0.999)
    weight_decay: float = 0.0
    guidance_scale: float = 1.0


def path(clean: Tensor, noise: Tensor, s: Tensor) -> Tensor:
    """x_s for s [n, 1, 1, 1]."""
    return (1 - s) * clean + s * noise


def velocity(clean: Tensor, noise: Tensor) -> Tensor:
    """dx_s / ds, the same everywhere on the path."""
    return noise - clean


class FlowMatching(GenerativeModel):
    """The network (`network`)."""

    family = "flow_matching"
    Config = FlowMatchingConfig
    averaged = ("network",)
    config: FlowMatchingConfig

    def __init__(self, config: FlowMatchingConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        if not 0 <= config.label_dropout < 1:
            cause = f"model.label_dropout is {config.label_dropout}"
            raise RecipeError("building the model", cause, "Give a share from 0 to below 1")
        self.classes = shape.classes if config.conditional else 0
        self.network = PatchedUNet(config.unet, shape, self.classes)

    @property
    def hears(self) -> tuple[str, ...]:
        """The classes, where it learned them."""
        return ("labels",) if self.classes else ()

    @property
    def training_schedule(self) -> dict[str, Any]:
        """As diffusers' flow schedulers are configured."""
        return {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": TIMES, "shift": 1.0}

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """One."""
        config = self.config
        betas = (config.betas[0], config.betas[1])
        return (Phase("flow", ("network",), config.learning_rate, betas, config.weight_decay),)

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the velocity at random points of straight paths (Liu et al. 2022, equation 1)."""
        labels = batch.labels if self.classes else None
        if labels is not None:
            labels = drop_labels(labels, self.config.label_dropout, self.network.no_label)
        s = spread_times(len(batch))
        if self.config.times == "logit_normal":
            s = torch.sigmoid(torch.special.ndtri(s.clamp(1e-6, 1 - 1e-6)))
        errors = self._errors(batch.images, torch.randn_like(batch.images), s.to(batch.images.device), labels)
        return {"loss": errors.mean()}

    def _errors(self, clean: Tensor, noise: Tensor, s: Tensor, labels: Tensor | None) -> Tensor:
        """[n] mean squared errors a picture."""
        said: Tensor = self.network(path(clean, noise, s.view(-1, 1, 1, 1)), s * TIMES, labels)
        return (said.float() - velocity(clean, noise)).pow(2).mean((1, 2, 3))

    @torch.no_grad()
    def sample(
        self,
        conditions: Conditions,
        generator: torch.Generator,
        *,
        scheduler: str = "flow_euler",
        steps: int = 50,
        guidance_scale: float | None = None,
        guidance_interval: Sequence[float] = (0.0, 1.0),
        **options: Any,
    ) -> Tensor:
        """Pictures at the paths' ends, followed by one of diffusers' flow schedulers.

        Raises:
            RecipeError: an option that is unknown or out of range.
            SchedulerError: a scheduler that is unknown, or not for flows.
        """
        check_options(options, OPTIONS)
        device = next(self.network.parameters()).device
        chosen = sampling_scheduler(scheduler, self.training_schedule, steps)
        labels = asked_labels(conditions, self.classes, device)
        scale = asked_scale(guidance_scale, self.config.guidance_scale, self.classes)
        predict = guided_within(self.network, labels, self.network.no_label, scale, guidance_interval, TIMES)
        shape = (conditions.count, self.shape.channels, self.shape.size, self.shape.size)
        return draw(chosen, predict, shape, generator, device)

    @torch.no_grad()
    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """ "flow_loss": the error of the velocity on held-out pictures; no bound, and not comparable to diffusion's."""

        def errors(clean: Tensor, noise: Tensor, shares: Tensor, labels: Tensor | None) -> Tensor:
            return self._errors(clean, noise, shares, labels if self.classes else None)

        device = next(self.network.parameters()).device
        return {"flow_loss": held_out_error(pictures, generator, device, errors)}

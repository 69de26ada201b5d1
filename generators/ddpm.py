"""Denoising diffusion: a network learns to undo noise of every strength, and pictures are drawn by undoing all of it.

Ho, Jain and Abbeel 2020 (training: algorithm 1, the simple loss of equation 14; sampling: algorithm 2), with the cosine
schedule (Nichol and Dhariwal 2021, equation 17), v prediction (Salimans and Ho 2022), min-SNR weights (Hang et al.
2023), and classes by classifier-free guidance (Ho and Salimans 2022). The schedulers are diffusers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from decoder.errors import RecipeError
from generators.diffusion_network import PatchedUNet, UNetConfig
from generators.diffusion_process import (
    Prediction,
    Schedule,
    add_noise,
    held_out_error,
    min_snr_weight,
    scales,
    spread_times,
    target,
)
from generators.diffusion_sampling import asked_labels, draw, sampling_scheduler
from generators.guidance import asked_scale, drop_labels, guided_within
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_options
from generators.pictures import Batch, Pictures
from generators.schedulers import betas_of

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ("scheduler", "steps", "guidance_scale", "guidance_interval", "eta")


@dataclass(frozen=True, slots=True)
class DdpmConfig:
    """Keys of `model:`.

    Attributes:
        unet: the network's size.
        prediction: what it predicts: `epsilon` (noise), `sample` (x_0) or `v_prediction`.
        schedule: `linear` or `squaredcos_cap_v2` (cosine).
        timesteps: T, steps of the forward process.
        beta_start, beta_end: of the linear schedule.
        min_snr_gamma: bound of the min-SNR weights; 0 means the plain loss.
        conditional: learn the classes, where the pictures have labels.
        label_dropout: the share of labels that is hidden in training, for guidance.
        learning_rate, betas, weight_decay: of AdamW.
        guidance_scale: that `sample` uses where none is asked for; 1 means none.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    prediction: Prediction = "v_prediction"
    schedule: Schedule = "squaredcos_cap_v2"
    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    min_snr_gamma: float = 0.0
    conditional: bool = True
    label_dropout: float = 0.1
    learning_rate: float = 2e-3
    betas: tuple[float, ...] = (0.9, 0.999)
    weight_decay: float = 0.0
    guidance_scale: float = 1.0


class Ddpm(GenerativeModel):
    """The network (`network`), and the schedule that it was trained with (`training_schedule`)."""

    family = "ddpm"
    Config = DdpmConfig
    averaged = ("network",)
    config: DdpmConfig

    def __init__(self, config: DdpmConfig, shape: DataShape) -> None:
        super().__init__(config, shape)
        if config.timesteps < 2 or not 0 <= config.label_dropout < 1:
            cause = f"model.timesteps is {config.timesteps} and model.label_dropout {config.label_dropout}"
            raise RecipeError("building the model", cause, "Give at least 2 steps, and a share from 0 to below 1")
        self.classes = shape.classes if config.conditional else 0
        self.network = PatchedUNet(config.unet, shape, self.classes)
        self.alpha_bar = torch.cumprod(1 - betas_of(self.training_schedule), 0)

    @property
    def hears(self) -> tuple[str, ...]:
        """The classes, where it learned them."""
        return ("labels",) if self.classes else ()

    @property
    def training_schedule(self) -> dict[str, Any]:
        """As diffusers' schedulers are configured: what `named_scheduler` and `check_scheduler` take."""
        config = self.config
        return {
            "num_train_timesteps": config.timesteps,
            "beta_schedule": config.schedule,
            "beta_start": config.beta_start,
            "beta_end": config.beta_end,
            "prediction_type": config.prediction,
            "clip_sample": True,
            "clip_sample_range": 1.0,
        }

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """One."""
        config = self.config
        betas = (config.betas[0], config.betas[1])
        return (Phase("denoise", ("network",), config.learning_rate, betas, config.weight_decay),)

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the prediction at random times, weighted where the configuration says so."""
        labels = batch.labels if self.classes else None
        if labels is not None:
            labels = drop_labels(labels, self.config.label_dropout, self.network.no_label)
        times = self._times(spread_times(len(batch))).to(batch.images.device)
        errors, a, s = self._errors(batch.images, torch.randn_like(batch.images), times, labels)
        if not self.config.min_snr_gamma:
            return {"loss": errors.mean()}
        weights = min_snr_weight(self.config.prediction, a, s, self.config.min_snr_gamma).flatten()
        return {"loss": (weights * errors).mean(), "unweighted": errors.detach().mean()}

    def _times(self, shares: Tensor) -> Tensor:
        return (shares * self.config.timesteps).long().clamp(max=self.config.timesteps - 1)

    def _errors(
        self, clean: Tensor, noise: Tensor, times: Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[n] mean squared errors a picture, and the scales a and s."""
        a, s = scales(self.alpha_bar, times)
        said = self.network(add_noise(clean, noise, a, s), times, labels)
        wanted = target(self.config.prediction, clean, noise, a, s)
        return (said.float() - wanted).pow(2).mean((1, 2, 3)), a, s

    @torch.no_grad()
    def sample(
        self,
        conditions: Conditions,
        generator: torch.Generator,
        *,
        scheduler: str = "ddim",
        steps: int = 50,
        guidance_scale: float | None = None,
        guidance_interval: Sequence[float] = (0.0, 1.0),
        eta: float = 0.0,
        **options: Any,
    ) -> Tensor:
        """Pictures drawn with one of diffusers' schedulers, by name.

        Raises:
            RecipeError: an option that is unknown or out of range.
            SchedulerError: a scheduler that is unknown, or cannot follow this schedule.
        """
        check_options(options, OPTIONS)
        chosen = sampling_scheduler(scheduler, self.training_schedule, steps)
        labels = asked_labels(conditions, self.classes, self._device())
        scale = asked_scale(guidance_scale, self.config.guidance_scale, self.classes)
        predict = guided_within(
            self.network, labels, self.network.no_label, scale, guidance_interval, self.config.timesteps - 1
        )
        return draw(chosen, predict, self._noise_shape(conditions.count), generator, self._device(), eta)

    def _noise_shape(self, count: int) -> tuple[int, int, int, int]:
        return count, self.shape.channels, self.shape.size, self.shape.size

    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    @torch.no_grad()
    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """ "denoising_loss": the plain loss on held-out pictures. It is no bound on their likelihood, and comparable
        only between models of the same prediction and schedule.
        """

        def errors(clean: Tensor, noise: Tensor, shares: Tensor, labels: Tensor | None) -> Tensor:
            return self._errors(clean, noise, self._times(shares), labels if self.classes else None)[0]

        return {"denoising_loss": held_out_error(pictures, generator, self._device(), errors)}

    def save(self, folder: Path) -> None:
        """As every family, and a pipeline of plain diffusers beside it where one can draw from this network."""
        from generators.ddpm_export import export_pipeline, exportable

        super().save(folder)
        if exportable(self):
            export_pipeline(self, folder / "pipeline")

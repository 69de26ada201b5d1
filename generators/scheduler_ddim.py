"""DDIM as its paper has it; diffusers' own departs from it in two ways that cost pictures silently.

It takes the previous time to be `t - T // steps`, whatever times are visited (diffusers issues 12633 and 11347), and
after clipping x_0 it goes on with a noise that no longer belongs to it unless each call says otherwise.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from torch import Tensor

from generators.diffusion_process import clean_and_noise


class ExactDdim(DDIMScheduler):
    """`DDIMScheduler` whose previous time is the next one visited, and whose noise is that of the clipped x_0."""

    config: Any
    timesteps: Tensor
    alphas_cumprod: Tensor
    final_alpha_cumprod: Tensor
    _threshold_sample: Any

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        eta: float = 0.0,
        use_clipped_model_output: bool = True,
        generator: torch.Generator | None = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Song et al. 2021, equations 12 and 16: x at the time before `timestep`, [n, c, s, s].

        `use_clipped_model_output` is there for pipelines that pass it; the noise is always made anew.
        """
        now, before = self._alpha_bars(int(timestep))
        a, s = now.sqrt(), (1 - now).sqrt()
        clean, _ = clean_and_noise(self.config.prediction_type, model_output, sample, a, s)
        if self.config.thresholding:
            clean = self._threshold_sample(clean)
        elif self.config.clip_sample:
            clean = clean.clamp(-self.config.clip_sample_range, self.config.clip_sample_range)
        noise = (sample - a * clean) / s
        sigma = eta * ((1 - before) / (1 - now) * (1 - now / before)).clamp(min=0).sqrt()
        found = before.sqrt() * clean + (1 - before - sigma**2).clamp(min=0).sqrt() * noise
        if eta > 0:
            found = found + sigma * (draw_like(sample, generator) if variance_noise is None else variance_noise)
        return DDIMSchedulerOutput(found, clean) if return_dict else (found, clean)

    def _alpha_bars(self, timestep: int) -> tuple[Tensor, Tensor]:
        """Of this time and of the next one visited."""
        later = self.timesteps[self.timesteps < timestep]
        before = self.alphas_cumprod[int(later.max())] if len(later) else self.final_alpha_cumprod
        return self.alphas_cumprod[timestep], before


def draw_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Noise of x's shape, drawn where the generator lives and moved to where x does."""
    device = generator.device if generator is not None else x.device
    return torch.randn(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)

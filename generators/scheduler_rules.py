"""The rules of the scheduler doctor, one a table row: which keys contradict each other, why, and what to set instead.

"Measured" figures are of a perfect denoiser of a Gaussian of standard deviation 0.35 whose noise is 2% too large,
drawn in 10 steps (`python -m benchmarks.scheduler_rules`), unless a source is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from generators.schedulers import LAMBDA_MIN, betas_of, is_flow, lambdas_of

if TYPE_CHECKING:
    from torch import Tensor

NAMED = "Use named_scheduler, which ends the schedule at lambda = -5.1"
SECOND_ORDER = ("HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "PNDMScheduler")
CLIPPING = ("DDPMScheduler", "DDIMScheduler", "ExactDdim", "LCMScheduler", "TCDScheduler", "HeunDiscreteScheduler")


@dataclass(frozen=True)
class Setting:
    """A scheduler as it would be used.

    Attributes:
        name: its class.
        config: its configuration, defaults filled in.
        steps, training, latent, step_options: as `check_scheduler` has them.
    """

    name: str
    config: Mapping[str, Any]
    steps: int | None = None
    training: Mapping[str, Any] | None = None
    latent: bool = False
    step_options: Mapping[str, Any] = field(default_factory=dict)

    def on(self, key: str) -> bool:
        """Whether the key is set, and not to nothing."""
        return bool(self.config.get(key))

    @property
    def total(self) -> int:
        """T, the steps of training."""
        return int(self.config.get("num_train_timesteps", 1000))

    @property
    def diffusion(self) -> bool:
        """Of a kind whose schedule is given by betas."""
        return not is_flow(self.config) and "num_train_timesteps" in self.config

    @cached_property
    def lambdas(self) -> Tensor:
        """[T]; see `lambdas_of`."""
        return lambdas_of(betas_of(self.config))

    @property
    def ends_in_noise(self) -> bool:
        """The schedule goes on well below where the linear one ends."""
        return self.diffusion and not self.on("rescale_betas_zero_snr") and float(self.lambdas[-1]) < LAMBDA_MIN - 0.4

    @property
    def clips(self) -> bool:
        """x_0 is kept in range at every step, or the schedule's end is left out."""
        clipped = self.name in CLIPPING and self.on("clip_sample")
        return clipped or self.on("thresholding") or self.config.get("lambda_min_clipped", -1e9) > -6

    @property
    def first_time(self) -> int | None:
        """The first time visited, where spacing and steps tell."""
        if not self.steps or not self.diffusion or self.config.get("timestep_spacing") != "leading":
            return None
        fewer = (
            self.steps + 1 if self.name in ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler") else self.steps
        )
        return (fewer - 1) * (self.total // fewer) + int(self.config.get("steps_offset") or 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """A contradiction.

    Attributes:
        keys: that contradict each other.
        reason: measured or cited.
        remedy: what to set instead.
        breaks: whether a setting has it.
    """

    keys: str
    reason: str
    remedy: str
    breaks: Callable[[Setting], bool]


def _ddim_clip(s: Setting) -> bool:
    kept = s.step_options.get("use_clipped_model_output")
    return s.name == "DDIMScheduler" and s.on("clip_sample") and s.ends_in_noise and not kept


def _unclipped(s: Setting) -> bool:
    return s.ends_in_noise and s.config.get("prediction_type") == "epsilon" and not s.clips


def _second_order(s: Setting) -> bool:
    reached = s.name != "PNDMScheduler" or s.config.get("timestep_spacing") != "leading"
    return s.ends_in_noise and s.name in SECOND_ORDER and reached


def _karras(s: Setting) -> bool:
    return s.config.get("beta_schedule") == "squaredcos_cap_v2" and s.on("use_karras_sigmas")


def _short(s: Setting) -> bool:
    time = s.first_time
    if time is None or time >= s.total:
        return False
    signals = (2 * s.lambdas).sigmoid().sqrt()
    return float(signals[time]) > 0.1 and float(signals[time]) > 1.5 * float(signals[-1])


def _beyond(s: Setting) -> bool:
    return s.first_time is not None and s.first_time >= s.total


def _ddim_previous(s: Setting) -> bool:
    if s.name != "DDIMScheduler" or not s.steps:
        return False
    spacing = s.config.get("timestep_spacing")
    uneven = s.total % s.steps != 0
    return (spacing == "linspace" and s.steps < s.total) or (spacing == "trailing" and uneven)


def _prediction(s: Setting) -> bool:
    trained = (s.training or {}).get("prediction_type")
    return trained is not None and s.config.get("prediction_type") not in (None, trained)


def _schedule(s: Setting) -> bool:
    if s.training is None or not s.diffusion or is_flow(s.training):
        return s.training is not None and is_flow(s.training) != is_flow(s.config)
    ours, theirs = betas_of(s.config), betas_of(s.training)
    kept = len(ours)
    return kept > len(theirs) or not bool(((ours - theirs[:kept]).abs() < 1e-6).all())


def _too_many(s: Setting) -> bool:
    return s.steps is not None and s.steps > s.total


def _sigmas(s: Setting) -> bool:
    return sum(s.on(key) for key in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")) > 1


def _flow_prediction(s: Setting) -> bool:
    known = "use_flow_sigmas" in s.config and "prediction_type" in s.config
    return known and s.on("use_flow_sigmas") != (s.config["prediction_type"] == "flow_prediction")


RULES: tuple[Rule, ...] = (
    Rule(
        "DDIMScheduler, clip_sample, a schedule that ends in noise (squaredcos_cap_v2)",
        "after x_0 is clipped the noise no longer belongs to it, and what x_t had beyond is lost (GLIDE, Nichol et al. "
        "2022, makes it anew)",
        "Pass use_clipped_model_output=True to step, or use named_scheduler('ddim', config)",
        _ddim_clip,
    ),
    Rule(
        "prediction_type epsilon, a schedule that ends in noise, no clip_sample or lambda_min_clipped",
        "an error of the noise is magnified 20,000 times: DPM++ ends at a spread of 17.7, not 0.35 (measured)",
        NAMED,
        _unclipped,
    ),
    Rule(
        "Heun, KDPM2 or PNDM, a schedule that ends in noise",
        "the first step of second order leaps from sigma 20,000: Heun's spread is 2.8 where 0.35 is right, with a "
        "perfect network (measured)",
        NAMED,
        _second_order,
    ),
    Rule(
        "use_karras_sigmas, beta_schedule squaredcos_cap_v2",
        "several sigmas at the noisy end fall on one time, and diffusers' solvers fail with an IndexError (measured)",
        "Set use_karras_sigmas to false",
        _karras,
    ),
    Rule(
        "timestep_spacing leading, few steps",
        "the first time visited still has signal, and the pure noise that sampling starts from has none (Lin et al. "
        "2023, section 3.3)",
        "Set timestep_spacing to trailing, or take more steps",
        _short,
    ),
    Rule(
        "timestep_spacing leading, steps_offset",
        "the first time visited lies beyond the steps of training",
        "Set steps_offset to 0, or timestep_spacing to trailing",
        _beyond,
    ),
    Rule(
        "DDIMScheduler, timestep_spacing linspace, or trailing with steps that do not divide num_train_timesteps",
        "its step takes t - T // steps for the previous time, which is not the one visited (diffusers issues 12633, "
        "11347)",
        "Use named_scheduler('ddim', config), or timestep_spacing leading",
        _ddim_previous,
    ),
    Rule(
        "rescale_betas_zero_snr, prediction_type epsilon",
        "at the last step nothing of the picture is left, and x_0 = (x - s e) / 0 (Lin et al. 2023, section 3.1)",
        "Train with v_prediction, or leave rescale_betas_zero_snr out",
        lambda s: s.on("rescale_betas_zero_snr") and s.config.get("prediction_type") == "epsilon",
    ),
    Rule(
        "rescale_betas_zero_snr, timestep_spacing leading",
        "the step without signal, for which the betas were rescaled, is never visited (Lin et al. 2023, section 3.3)",
        "Set timestep_spacing to trailing",
        lambda s: s.on("rescale_betas_zero_snr") and s.config.get("timestep_spacing") == "leading",
    ),
    Rule(
        "prediction_type, other than in training",
        "what the network says would be read as something else",
        "Take prediction_type from the training's configuration",
        _prediction,
    ),
    Rule(
        "beta_schedule, beta_start, beta_end or num_train_timesteps, other than in training",
        "the network would be told times of another noise",
        "Take them from the training's configuration, as named_scheduler does",
        _schedule,
    ),
    Rule(
        "clip_sample, latents",
        "latents are not in [-1, 1]; clipping them takes away contrast",
        "Set clip_sample to false",
        lambda s: s.latent and s.name in CLIPPING and s.on("clip_sample"),
    ),
    Rule(
        "thresholding, latents",
        "dynamic thresholding is for pixels in [-1, 1] (Saharia et al. 2022, section 2.3)",
        "Set thresholding to false",
        lambda s: s.latent and s.on("thresholding"),
    ),
    Rule(
        "steps, num_train_timesteps",
        "more steps are asked for than the network was trained with",
        "Take at most num_train_timesteps steps",
        _too_many,
    ),
    Rule(
        "use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas",
        "only one of them can set the sigmas",
        "Keep one",
        _sigmas,
    ),
    Rule(
        "use_flow_sigmas, prediction_type flow_prediction",
        "straight paths and their velocity belong together; with one alone the other is misread",
        "Set both or neither",
        _flow_prediction,
    ),
)

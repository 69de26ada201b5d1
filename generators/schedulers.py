"""diffusers' schedulers by short names, made to fit the noise schedule that a network was trained with.

named_scheduler("dpm++", pipeline.scheduler.config)

What training fixed (the schedule, the prediction, the range of pictures) is taken over; what belongs to sampling alone
(spacing, offset) is set right. Two repairs, both silent degradations otherwise:

- `ddim` is `ExactDdim`.
- A schedule that ends in almost pure noise (the cosine one: half the log of the signal-to-noise ratio, lambda, falls
  to -10) is ended at lambda = -5.1, about where the linear schedule ends, unless x_0 is clipped at every step. Below
  it a network that predicts noise says next to nothing of x_0, and solvers of second order leap across. DPM-Solver has
  an option of that kind (`lambda_min_clipped`; Lu et al. 2022, appendix D); here every solver gets the same betas,
  without the last few.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from decoder.errors import RecipeError
from decoder.runs.recipe import check_choice
from generators.errors import SchedulerError

if TYPE_CHECKING:
    from torch import Tensor

STEP = "choosing the scheduler"
LAMBDA_MIN = -5.1
"""Where a schedule is ended."""


@dataclass(frozen=True, slots=True)
class SchedulerEntry:
    """A scheduler: its class in diffusers (or `module:Class`), what it is, and the settings that make it so.

    Attributes:
        flow: for flow matching rather than diffusion.
        clips: it clips x_0 to `clip_sample_range` at every step where the configuration says `clip_sample`.
        distilled: only for networks that were distilled for it.
    """

    where: str
    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    flow: bool = False
    clips: bool = False
    distilled: bool = False


_DPM, _UNIPC = "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"
_FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

SCHEDULERS: dict[str, SchedulerEntry] = {
    "ddpm": SchedulerEntry("DDPMScheduler", "ancestral sampling, every training step", clips=True),
    "ddim": SchedulerEntry("generators.scheduler_ddim:ExactDdim", "deterministic at eta 0, first order", clips=True),
    "dpm++": SchedulerEntry(_DPM, "DPM-Solver++, second order", {"algorithm_type": "dpmsolver++"}),
    "dpm++-karras": SchedulerEntry(_DPM, "the same at the sigmas of Karras et al. 2022", {"use_karras_sigmas": True}),
    "dpm++-sde": SchedulerEntry(_DPM, "the same with noise", {"algorithm_type": "sde-dpmsolver++"}),
    "euler": SchedulerEntry("EulerDiscreteScheduler", "first order, in sigma"),
    "euler_a": SchedulerEntry("EulerAncestralDiscreteScheduler", "the same with noise"),
    "heun": SchedulerEntry("HeunDiscreteScheduler", "second order, two passes a step"),
    "lms": SchedulerEntry("LMSDiscreteScheduler", "linear multistep, fourth order"),
    "unipc": SchedulerEntry(_UNIPC, "predictor and corrector, second order"),
    "deis": SchedulerEntry("DEISMultistepScheduler", "exponential integrator, second order"),
    "pndm": SchedulerEntry("PNDMScheduler", "linear multistep of noise", {"skip_prk_steps": True}),
    "lcm": SchedulerEntry("LCMScheduler", "a few steps of a distilled network", distilled=True),
    "flow_euler": SchedulerEntry("FlowMatchEulerDiscreteScheduler", "first order", flow=True),
    "flow_heun": SchedulerEntry("FlowMatchHeunDiscreteScheduler", "second order, two passes a step", flow=True),
    "flow_dpm++": SchedulerEntry(_DPM, "DPM-Solver++ along straight paths", _FLOW, flow=True),
    "flow_unipc": SchedulerEntry(_UNIPC, "UniPC along straight paths", _FLOW, flow=True),
}

TRAINED = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type"),
    *("rescale_betas_zero_snr", "clip_sample", "clip_sample_range", "thresholding", "dynamic_thresholding_ratio"),
    *("sample_max_value", "set_alpha_to_one"),
)
"""Keys of diffusers' configurations that say what a network was trained with."""

FLOW_TRAINED = (
    *("num_train_timesteps", "shift", "use_dynamic_shifting", "base_shift", "max_shift", "base_image_seq_len"),
    *("max_image_seq_len", "time_shift_type", "shift_terminal", "invert_sigmas"),
)
"""The same of flow matching."""


def named_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """diffusers' scheduler `name` for a network trained as `config` says: a scheduler's `config`, of any class.

    Raises:
        SchedulerError: the name is unknown, or the scheduler cannot follow the network's schedule.
    """
    entry, cls = find_scheduler(name), scheduler_class(name)
    known = set(inspect.signature(cls.__init__).parameters)
    if entry.flow != is_flow(config):
        way, other = ("flow matching", "flow_euler") if not entry.flow else ("diffusion", "ddim")
        raise SchedulerError(STEP, f"{name} is not for a network trained by {way}", f"Use {other}, say")
    if config.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in known:
        cause = f"{name} cannot follow a schedule with rescale_betas_zero_snr"
        raise SchedulerError(STEP, cause, "Use ddim, dpm++, euler or unipc")
    trained = config if entry.flow else {"beta_start": 1e-4, "beta_end": 0.02, **config}  # heun's own defaults differ
    settings = {
        key: trained[key] for key in (FLOW_TRAINED if entry.flow else TRAINED) if key in trained and key in known
    }
    if entry.flow and "flow_shift" in known:
        settings["flow_shift"] = config.get("shift", 1.0)
    if "timestep_spacing" in known and name != "pndm":
        settings["timestep_spacing"] = "trailing"
    if not entry.flow and name != "pndm" and not (entry.clips and settings.get("clip_sample", True)):
        settings |= shortened(config)
    return cls(**{**settings, **entry.settings})


def find_scheduler(name: str) -> SchedulerEntry:
    """The entry. Raises SchedulerError for an unknown name, with the nearest."""
    try:
        check_choice(name, list(SCHEDULERS), "scheduler")
    except RecipeError as error:
        raise SchedulerError(STEP, error.cause, error.remedy) from error
    return SCHEDULERS[name]


def scheduler_class(name: str) -> type[Any]:
    """The class behind a name, imported."""
    import importlib

    module, colon, cls = find_scheduler(name).where.rpartition(":")
    found: type[Any] = getattr(importlib.import_module(module if colon else "diffusers"), cls)
    return found


def is_flow(config: Mapping[str, Any]) -> bool:
    """Whether the configuration is of flow matching: by its class, its prediction or its sigmas."""
    if config.get("prediction_type") == "flow_prediction" or config.get("use_flow_sigmas"):
        return True
    return "FlowMatch" in str(config.get("_class_name", "")) or ("shift" in config and "beta_schedule" not in config)


def betas_of(config: Mapping[str, Any]) -> Tensor:
    """[T] betas of a diffusion configuration, as diffusers' DDPM makes them."""
    from diffusers import DDPMScheduler

    keys = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
    made: Any = DDPMScheduler
    found: Tensor = made(**{key: config[key] for key in keys if key in config}).betas
    return found


def lambdas_of(betas: Tensor) -> Tensor:
    """[T] lambda = log(a_t / s_t), half the log of the signal-to-noise ratio."""
    import torch

    alpha_bar = torch.cumprod(1 - betas.double(), 0)
    return 0.5 * (alpha_bar.log() - (-alpha_bar).log1p())


def shortened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that end the schedule at lambda = -5.1; none where it ends before, or is meant to end in pure noise."""
    if config.get("rescale_betas_zero_snr"):
        return {}
    betas = betas_of(config)
    kept = int((lambdas_of(betas) >= LAMBDA_MIN).sum())
    if kept == len(betas):
        return {}
    return {"trained_betas": betas[:kept].tolist(), "num_train_timesteps": kept}

"""The parts of a latent text-to-image model, untrained: text encoder, U-Net, noise schedule; and the pipeline of them.

Source: R. Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022), section 3.3: a U-Net
whose layers attend to the encoded words. The text encoder is CLIP's (Radford et al. 2021), small and trained along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from diffusers import DDIMScheduler, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from decoder.errors import RecipeError
from generators.autoencoder_kl import AutoencoderConfig
from generators.errors import SchedulerError
from generators.latent_text import SPECIAL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class LatentConfig:
    """Of all parts, and how they are trained.

    Attributes:
        autoencoder: of `AutoencoderConfig`.
        autoencoder_share: of the run, in which the autoencoder alone is trained; the rest trains the others.
        channels: of the U-Net's levels; each but the last halves the latents' sides.
        attention: whether each level attends to the words (and to its own places).
        layers_per_block: residual layers a level.
        heads: of every attention.
        norm_groups: of the U-Net's group normalisations; divides each of `channels`.
        text_width, text_layers: of the text encoder.
        pooled_text: whether the words, pooled by attention, are also added to the time embedding of every residual
            layer, as in DeepFloyd IF; a small network learns what is asked for sooner than from attention alone.
        vocabulary: the most words that are kept, by frequency; 0 means all.
        caption_dropout: the share of captions that are replaced by an empty one, for guidance without a classifier.
        prediction: what the U-Net tells of the noisy latents: the noise, or v (Salimans and Ho 2022).
        schedule: of the noise, over 1,000 steps.
        learning_rate: of the U-Net and the text encoder.
    """

    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    autoencoder_share: float = 0.3
    channels: tuple[int, ...] = (32, 64)
    attention: tuple[bool, ...] = (True, True)
    layers_per_block: int = 1
    heads: int = 4
    norm_groups: int = 8
    text_width: int = 32
    text_layers: int = 1
    pooled_text: bool = True
    vocabulary: int = 0
    caption_dropout: float = 0.1
    prediction: Literal["epsilon", "v_prediction"] = "v_prediction"
    schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "linear"
    learning_rate: float = 2e-3


def check_latent(config: LatentConfig, size: int) -> None:
    """Refuse settings of the U-Net that contradict each other or the latents. Raises RecipeError, SchedulerError."""
    from generators.scheduler_doctor import check_scheduler

    check_scheduler(sampling_schedule(config), latent=True)
    step, levels = "building the U-Net", len(config.channels)
    if size % 8:
        cause = f"pictures of {size} pixels: a StableDiffusionPipeline draws sides that 8 divides"
        raise RecipeError(step, cause, "Change data.size")
    side = size // config.autoencoder.factor
    if len(config.attention) != levels:
        raise RecipeError(step, f"{len(config.attention)} of attention for {levels} levels", "Give one a level")
    if not levels or side % 2 ** (levels - 1):
        cause = f"latents of {side} x {side} cannot be halved {levels - 1} times"
        raise RecipeError(step, cause, "Give fewer model.channels, or fewer model.autoencoder.channels")
    if any(each % config.norm_groups or each % config.heads for each in config.channels):
        cause = f"norm_groups {config.norm_groups} or heads {config.heads} does not divide {list(config.channels)}"
        raise RecipeError(step, cause, "Choose ones that do")
    if config.text_width % config.heads:
        cause = f"heads {config.heads} does not divide text_width {config.text_width}"
        raise RecipeError(step, cause, "Choose ones that fit")
    if not 0 <= config.autoencoder_share < 1:
        raise RecipeError(step, f"autoencoder_share is {config.autoencoder_share}", "Give a share from 0 to below 1")


def make_unet(config: LatentConfig, size: int) -> Any:
    """The untrained U-Net, a `UNet2DConditionModel`, over the latents of pictures of `size` pixels."""
    down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in config.attention]
    up = ["CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(config.attention)]
    return UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=size // config.autoencoder.factor,
        in_channels=config.autoencoder.latent_channels,
        out_channels=config.autoencoder.latent_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=config.channels,
        layers_per_block=config.layers_per_block,
        cross_attention_dim=config.text_width,
        addition_embed_type="text" if config.pooled_text else None,
        addition_embed_type_num_heads=config.heads,
        attention_head_dim=config.heads,  # despite its name, diffusers reads the number of heads here
        norm_num_groups=config.norm_groups,
    )


def make_text_encoder(config: LatentConfig, words: int, length: int) -> CLIPTextModel:
    """The untrained text encoder of `words` words and captions of `length` tokens."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(SPECIAL) + words,
            hidden_size=config.text_width,
            intermediate_size=2 * config.text_width,
            projection_dim=config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=config.heads,
            max_position_embeddings=length,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def noise_schedule(config: LatentConfig) -> Any:
    """How noise is added in training, over 1,000 steps."""
    return DDPMScheduler(  # type: ignore[no-untyped-call]
        beta_start=1e-4 if config.schedule == "linear" else 0.00085,
        beta_end=0.02 if config.schedule == "linear" else 0.012,
        beta_schedule=config.schedule,
        prediction_type=config.prediction,
        clip_sample=False,  # latents have no bounds
    )


def sampling_schedule(config: LatentConfig) -> Any:
    """The same noise taken away again; trailing spacing, so that the first step starts from noise alone."""
    return DDIMScheduler.from_config(  # type: ignore[no-untyped-call]
        noise_schedule(config).config, timestep_spacing="trailing", steps_offset=1, set_alpha_to_one=True
    )


def latent_scheduler(name: str, trained: Mapping[str, Any], steps: int) -> Any:
    """The scheduler `name` for latents. Raises SchedulerError: unknown, for distilled networks, or it does not fit."""
    from generators.scheduler_doctor import check_scheduler
    from generators.schedulers import find_scheduler, named_scheduler

    if find_scheduler(name).distilled:
        raise SchedulerError("sampling", f"{name} is for networks that were distilled for it", "Use dpm++ or ddim")
    chosen = named_scheduler(name, trained)
    check_scheduler(chosen, steps=steps, training=trained, latent=True)
    return chosen


def make_pipeline(
    vae: Any, text_encoder: CLIPTextModel, tokenizer: PreTrainedTokenizerFast, unet: Any, scheduler: Any
) -> Any:
    """The parts as a `StableDiffusionPipeline`, quiet, without a safety checker (no weights for one are here)."""
    pipeline: Any = StableDiffusionPipeline(  # type: ignore[no-untyped-call]
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline

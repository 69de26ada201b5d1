"""Small pipelines of random weights, made from parts and saved: one each for SD, SDXL, SD3 and Flux, no hub needed.

Every picture is 32x32 (16x16 latents), so that a step takes milliseconds. The words of the tokenizer are letters.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

FAMILIES = ("sd", "sdxl", "sd3", "flux")


def save_pipeline(family: str, folder: Path, seed: int = 0) -> Path:
    """Make the small pipeline of a family, save it into `folder` and return it."""
    import torch

    torch.manual_seed(seed)
    {"sd": _sd, "sdxl": _sdxl, "sd3": _sd3, "flux": _flux}[family]().save_pretrained(folder)
    return folder


def letters_tokenizer(length: int = 77) -> Any:
    """A tokenizer whose words are single letters, digits and a few words; CLIP's way to begin and to end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", "red", "blue", "cat", "dog", "a", *string.ascii_lowercase[1:]]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        model_max_length=length,
    )  # fmt: skip


def _clip(width: int = 32, projection: int | None = None) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=64, hidden_size=width, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=77, bos_token_id=1, eos_token_id=2, pad_token_id=0, projection_dim=projection or width,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def _t5(width: int = 32) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=64, d_model=width, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    return T5EncoderModel(config).eval()


def _vae(channels: int = 4, **settings: Any) -> Any:
    """Its posterior is narrow, as a trained one's is; with random weights alone, encoding would be mostly noise."""
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=channels, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **settings,
    ).eval()  # fmt: skip
    with torch.no_grad():
        (vae.encoder.conv_out if vae.quant_conv is None else vae.quant_conv).bias[channels:] = -20
    return vae


def _sd() -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=16, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=32, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
    )  # fmt: skip
    schedule = {**SD_SCHEDULE, "timestep_spacing": "trailing"}
    return StableDiffusionPipeline(
        _vae(), _clip(), letters_tokenizer(), unet.eval(), DDIMScheduler(**schedule), None, None,
        requires_safety_checker=False,
    )  # fmt: skip


SD_SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False,
    "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading",
}  # fmt: skip
"""Of Stable Diffusion as it was published; with so few steps as in tests, its spacing must be another."""


def _sdxl() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=16, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=64, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), projection_class_embeddings_input_dim=80,
    )  # fmt: skip
    schedule = {key: SD_SCHEDULE[key] for key in ("beta_start", "beta_end", "beta_schedule")}
    return StableDiffusionXLPipeline(
        _vae(), _clip(), _clip(projection=32), letters_tokenizer(), letters_tokenizer(), unet.eval(),
        EulerDiscreteScheduler(**schedule, timestep_spacing="trailing"), add_watermarker=False,
    )  # fmt: skip


def _sd3() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=64, pooled_projection_dim=64, out_channels=16,
        pos_embed_max_size=32,
    )  # fmt: skip
    vae = _vae(16, shift_factor=0.0609, scaling_factor=1.5035, use_quant_conv=False, use_post_quant_conv=False)
    return StableDiffusion3Pipeline(
        transformer.eval(), FlowMatchEulerDiscreteScheduler(shift=3.0), vae, _clip(projection=32), letters_tokenizer(),
        _clip(projection=32), letters_tokenizer(), _t5(64), letters_tokenizer(256),
    )  # fmt: skip


def _flux() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    vae = _vae(shift_factor=0.0609, scaling_factor=1.5035, use_quant_conv=False, use_post_quant_conv=False)
    return FluxPipeline(
        FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True), vae, _clip(), letters_tokenizer(),
        _t5(), letters_tokenizer(512), transformer.eval(),
    )  # fmt: skip


def save_lora(pipeline: Any, folder: Path, scale: float = 1.0, seed: int = 0) -> Path:
    """A LoRA file of random weights for a pipeline's U-Net or transformer; the pipeline is left as it was."""
    import torch
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    part = "unet" if getattr(pipeline, "unet", None) is not None else "transformer"
    network = getattr(pipeline, part)
    torch.manual_seed(seed)
    network.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    layers = {name: value * scale for name, value in get_peft_model_state_dict(network).items()}
    network.delete_adapters("default")
    network.unload_lora() if hasattr(network, "unload_lora") else None
    type(pipeline).save_lora_weights(folder, **{f"{part}_lora_layers": layers})
    return folder / "pytorch_lora_weights.safetensors"


def save_media(kind: str, folder: Path) -> Path:
    """Make a small pipeline for `audio` (as Stable Audio) or `video` (as LTX) and save it into `folder`."""
    import torch

    from generators.quiet import libraries_quiet

    torch.manual_seed(0)
    with libraries_quiet():  # AutoencoderOobleck is made with what torch has given up
        {"audio": _audio, "video": _video}[kind]().save_pretrained(folder)
    return folder


def _audio() -> Any:
    import diffusers
    from diffusers.pipelines.stable_audio import StableAudioProjectionModel

    transformer = diffusers.StableAudioDiTModel(
        sample_size=400, in_channels=3, num_layers=1, attention_head_dim=4, num_attention_heads=4, out_channels=3,
        num_key_value_attention_heads=2, cross_attention_dim=32, time_proj_dim=8, global_states_input_dim=64,
        cross_attention_input_dim=32,
    )  # fmt: skip
    vae = diffusers.AutoencoderOobleck(
        encoder_hidden_size=6, downsampling_ratios=[1, 2], decoder_channels=3, decoder_input_channels=3,
        audio_channels=2, channel_multiples=[2, 4], sampling_rate=400,
    )  # fmt: skip
    projection = StableAudioProjectionModel(text_encoder_dim=32, conditioning_dim=32, min_value=0, max_value=32)
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(
        solver_order=2, prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
    )
    return diffusers.StableAudioPipeline(vae, _t5(), projection, letters_tokenizer(128), transformer, scheduler)


def _video() -> Any:
    import diffusers

    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, patch_size=1, patch_size_t=1, num_attention_heads=4, attention_head_dim=8,
        cross_attention_dim=32, num_layers=1, caption_channels=32,
    )  # fmt: skip
    few, halved = (8, 8, 8, 8), (True, True, False, False)
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=few, decoder_block_out_channels=few, layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5, spatio_temporal_scaling=halved, decoder_spatio_temporal_scaling=halved,
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
        timestep_conditioning=False, patch_size=1, patch_size_t=1, encoder_causal=True, decoder_causal=False,
    )  # fmt: skip
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return diffusers.LTXPipeline(scheduler, vae, _t5(), letters_tokenizer(128), transformer)

"""Text to image in the latents of an autoencoder, all of it from scratch, saved as a `StableDiffusionPipeline`.

Source: R. Rombach et al. (2022), equation 3, in three stages of one run:

1. The autoencoder alone, for `autoencoder_share` of the run (`autoencoder_kl.py`).
2. Once: scaling_factor = 1 / std of the latents, so that the noise schedule meets unit variance (appendix G).
3. U-Net and text encoder together, on min E |e - e_theta(z_t, t, text(caption))|^2 with the autoencoder fixed; a share
   of the captions is emptied, so that sampling can guide without a classifier (Ho and Salimans 2022):
   e = e_theta(empty) + guidance_scale * (e_theta(caption) - e_theta(empty)).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from generators.autoencoder_kl import AutoencoderLoss, autoencoder_figures, make_autoencoder
from generators.latent_folder import load_parts, save_parts
from generators.latent_parts import (
    LatentConfig,
    check_latent,
    latent_scheduler,
    make_pipeline,
    make_text_encoder,
    make_unet,
    noise_schedule,
    sampling_schedule,
)
from generators.latent_text import caption_length, check_prompts, known_part, known_words, make_tokenizer
from generators.model import Conditions, DataShape, GenerativeModel, Phase, check_number, check_options
from generators.pictures import Batch, Pictures
from generators.sampling_steps import tell_step

AUTOENCODER, DENOISER = "autoencoder", "denoiser"
MOST_MEASURED = 4096
"""Pictures whose latents the scaling factor is measured on."""
MOST_CAPTIONS = 64
"""Captions of training that are kept, to draw from when a caller names none."""
STEPS = 1000
"""Of training, and the most that are drawn with."""
OPTIONS = ("steps", "guidance_scale", "scheduler", "negative")


class LatentTextToImage(GenerativeModel):
    """Family `latent_text_to_image`.

    Args:
        words: of the training captions; a prompt may use these.
        length: tokens of the longest caption.
        captions: some captions of training by label, those most used first; without labels all under "".
    """

    family = "latent_text_to_image"
    Config = LatentConfig
    averaged = ("unet", "text_encoder")

    def __init__(
        self,
        config: LatentConfig,
        shape: DataShape,
        words: tuple[str, ...],
        length: int,
        captions: Mapping[str, list[str]],
    ) -> None:
        super().__init__(config, shape)
        check_latent(config, shape.size)
        self.words, self.length, self.captions = words, length, dict(captions)
        self.vae = make_autoencoder(config.autoencoder, shape)
        self.unet = make_unet(config, shape.size)
        self.text_encoder = make_text_encoder(config, len(words), length)
        self.tokenizer = make_tokenizer(words, length)
        self.scaling_factor: Tensor
        self.register_buffer("scaling_factor", torch.ones(()))
        self._schedule = noise_schedule(config)
        self._objective = AutoencoderLoss(config.autoencoder, shape)

    @classmethod
    def build(cls, config: LatentConfig, pictures: Pictures) -> Self:
        """Raises DataError without captions, RecipeError for sizes that do not fit."""
        words = known_words(pictures.captions, config.vocabulary)
        shape = DataShape.of(pictures)
        return cls(config, shape, words, caption_length(pictures.captions), _captions_by_label(pictures, set(words)))

    @property
    def hears(self) -> tuple[str, ...]:
        """Captions; labels are asked for by captions of theirs."""
        return ("captions", "labels") if self.shape.classes else ("captions",)

    def extra_config(self) -> dict[str, Any]:
        """The vocabulary, and captions to draw from."""
        return {"words": list(self.words), "length": self.length, "captions": self.captions}

    @classmethod
    def restore(cls, config: LatentConfig, shape: DataShape, extra: Mapping[str, Any]) -> Self:
        """From the vocabulary."""
        return cls(config, shape, tuple(extra["words"]), int(extra["length"]), extra["captions"])

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """First the autoencoder, then U-Net and text encoder.

        The autoencoder's learning rate falls to 0 by a cosine over its own stage, which the recipe's schedule, being
        over the whole run, would leave half done.
        """
        share = self.config.autoencoder_share
        if progress < share:
            fall = 0.5 * (1 + math.cos(math.pi * progress / share))
            return (Phase(AUTOENCODER, ("vae",), fall * self.config.autoencoder.learning_rate),)
        return (Phase(DENOISER, ("unet", "text_encoder"), self.config.learning_rate),)

    @torch.no_grad()
    def before(self, phase: str, pictures: Pictures) -> None:
        """Measure the scaling factor before the denoiser's first step."""
        if phase != DENOISER:
            return
        every = max(len(pictures) // MOST_MEASURED, 1)
        chosen = pictures.subset(torch.arange(0, len(pictures), every)).floats()
        drawn = [self._encode(part.to(self.vae.device)) for part in torch.split(chosen, 256)]
        self.scaling_factor.fill_(1 / torch.cat(drawn).std())

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Figures: reconstruction, kl and perceptual of the autoencoder; none of the denoiser."""
        if phase == AUTOENCODER:
            return self._objective(self.vae, batch.images)[0]
        with torch.no_grad():
            latents = self._encode(batch.images) * self.scaling_factor
        noise = torch.randn_like(latents)
        steps = torch.randint(self._schedule.config.num_train_timesteps, (len(latents),), device=latents.device)
        noisy = self._schedule.add_noise(latents, noise, steps)
        told = self.unet(noisy, steps, self._read(self._dropped(batch.captions))).sample
        aim = noise if self.config.prediction == "epsilon" else self._schedule.get_velocity(latents, noise, steps)
        return {"loss": functional.mse_loss(told, aim)}

    def _encode(self, images: Tensor) -> Tensor:
        """Latents as the autoencoder gives them, drawn from q(z|x)."""
        latents: Tensor = self.vae.encode(images).latent_dist.sample()
        return latents

    def _dropped(self, captions: tuple[str, ...]) -> list[str]:
        kept = (torch.rand(len(captions)) >= self.config.caption_dropout).tolist()
        return [caption if keep else "" for caption, keep in zip(captions, kept, strict=True)]

    def _read(self, captions: list[str]) -> Tensor:
        """The text encoder's states [n, length, text_width]."""
        told = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        states: Tensor = self.text_encoder(told.input_ids.to(self.text_encoder.device))[0]
        return states

    def pipeline(self) -> Any:
        """The parts as a `StableDiffusionPipeline`; the weights are shared with this model."""
        self.vae.register_to_config(scaling_factor=float(self.scaling_factor))
        return make_pipeline(self.vae, self.text_encoder, self.tokenizer, self.unet, sampling_schedule(self.config))

    @torch.no_grad()
    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Pictures of `conditions.captions`; without any, of training captions: of the labels where they are given.

        Options: steps (25), guidance_scale (2; 1 means none), negative (a caption to lead away from), scheduler (a
        name of `generators.schedulers`; the saved pipeline's own by default).

        Raises:
            ModelError: a caption has a word that the model does not know.
            SchedulerError: the scheduler is unknown, or does not fit.
        """
        check_options(options, OPTIONS)
        captions = list(conditions.captions) or self._some_captions(conditions)
        negative = str(options.get("negative", ""))
        check_prompts([*captions, negative], self.words, self.length)
        steps, guidance_scale = options.get("steps", 25), options.get("guidance_scale", 2.0)
        check_number("steps", steps, 1, STEPS, whole=True)
        check_number("guidance_scale", guidance_scale, 0, 100)
        pipeline = self.pipeline()
        if options.get("scheduler"):
            pipeline.scheduler = latent_scheduler(str(options["scheduler"]), pipeline.scheduler.config, steps)
        side = self.shape.size // self.config.autoencoder.factor
        noise = torch.randn(len(captions), self.config.autoencoder.latent_channels, side, side, generator=generator)
        pictures: Tensor = pipeline(
            captions,
            negative_prompt=[negative] * len(captions),
            latents=noise.to(self.unet.device),
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            output_type="pt",
            callback_on_step_end=partial(_tell, steps),
        ).images
        return pictures * 2 - 1

    def _some_captions(self, conditions: Conditions) -> list[str]:
        """Captions of training that take turns, of the labels that are asked for."""
        names = self.shape.class_names
        if conditions.labels is not None and names:
            asked = [names[int(label)] for label in conditions.labels]
        else:
            kinds = list(self.captions)
            asked = [kinds[i % len(kinds)] for i in range(conditions.count)]
        turns = dict.fromkeys(asked, -1)
        chosen = []
        for name in asked:
            turns[name] += 1
            known = self.captions.get(name) or [""]
            chosen.append(known[turns[name] % len(known)])
        return chosen

    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """reconstruction, kl and psnr of the autoencoder."""
        return autoencoder_figures(self.vae, pictures)

    def save(self, folder: Path) -> None:
        """A pipeline's folder, and config.json with what it lacks."""
        save_parts(self, folder)

    def load_weights(self, folder: Path) -> None:
        """The weights of the pipeline's parts, and the scaling factor."""
        load_parts(self, folder)


def _tell(steps: int, pipeline: Any, index: int, _: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Pass a step of the pipeline on; its latents are decoded only for who asks for pictures."""
    latents = tensors["latents"]

    def pictures() -> Tensor:
        decoded: Tensor = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
        return decoded.detach()

    tell_step(index + 1, steps, pictures)
    return tensors


def _captions_by_label(pictures: Pictures, words: set[str]) -> dict[str, list[str]]:
    """The captions most used, by class name, as far as their words are known."""
    if pictures.labels is None:
        names = [""] * len(pictures)
    else:
        names = [pictures.class_names[label] for label in pictures.labels.tolist()]
    counts: dict[str, Counter[str]] = {}
    for name, caption in zip(names, pictures.captions, strict=True):
        counts.setdefault(name, Counter())[known_part(caption, words)] += 1
    return {name: [text for text, _ in counts[name].most_common(MOST_CAPTIONS)] for name in sorted(counts)}

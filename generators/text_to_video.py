"""Moving pictures from a prompt, with a pipeline of diffusers (Wan, LTX, CogVideoX, AnimateDiff): an animated file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.draw_request import MAX_SIDE, check_range
from generators.drawing import Watch
from generators.errors import GeneratorError, ModelError
from generators.media import STEP, run_media, write_whole
from generators.pipeline_tasks import parameters
from generators.pipelines_loading import load_pipeline

if TYPE_CHECKING:
    from PIL import Image

    from generators.previews import Step

MAX_FRAMES = 1000
FORMATS = {".webp": "WEBP", ".gif": "GIF", ".png": "PNG"}


@dataclass(frozen=True, slots=True)
class Video:
    """What was made.

    Attributes:
        frames: of one size.
        frame_rate: frames a second.
        metadata: how it was made.
    """

    frames: tuple[Image.Image, ...]
    frame_rate: float
    metadata: Mapping[str, Any]

    def save(self, path: str | Path) -> Path:
        """An animated WebP, GIF or PNG by the name's ending, and the metadata beside it as `<file>.json`.

        Raises ImageError, and GeneratorError for another ending.
        """
        place = Path(path).expanduser()
        kind = FORMATS.get(place.suffix.lower())
        if kind is None:
            raise GeneratorError("saving", f"{place.name} is neither .webp, .gif nor .png", "Choose one of them")
        return write_whole(place, partial(self._write, kind), self.metadata)

    def _write(self, kind: str, path: Path) -> None:
        duration = round(1000 / self.frame_rate)
        lossless = {"lossless": True} if kind == "WEBP" else {}
        self.frames[0].save(
            path, kind, save_all=True, append_images=list(self.frames[1:]), duration=duration, loop=0, **lossless
        )


class TextToVideo:
    """A loaded pipeline that makes moving pictures; its Args and errors are those of `TextToImage`."""

    def __init__(
        self,
        model: str | Path,
        revision: str = "",
        device: str = "auto",
        dtype: str = "",
        allow_unpinned: bool = False,
    ) -> None:
        self.loaded = load_pipeline(model, revision, device, dtype, allow_unpinned)
        if not {"prompt", "num_frames"} <= set(parameters(self.loaded.pipeline)):
            cause = f"{type(self.loaded.pipeline).__name__} makes no moving pictures from text"
            raise ModelError(STEP, cause, "Take Wan, LTX, CogVideoX or AnimateDiff")

    def make(
        self,
        prompt: str,
        negative_prompt: str = "",
        *,
        frames: int = 0,
        frame_rate: float = 8.0,
        width: int = 0,
        height: int = 0,
        steps: int = 0,
        guidance_scale: float | None = None,
        seed: int | None = None,
        on_step: Callable[[Step], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Video:
        """Make one video; the rest is as in `TextToImage.draw`, without previews.

        Args:
            frames: in all; 0: the pipeline's own number. Where time is compressed, it must be a multiple and one.
            frame_rate: frames a second, which some models are told of.

        Raises:
            GeneratorError, Cancelled: as there.
        """
        pipeline = self.loaded.pipeline
        check_range("frames", frames, 0, MAX_FRAMES)
        check_range("frame_rate", frame_rate, 0.1, 240)
        for name, value in (("width", width), ("height", height)):
            check_range(name, value, 0, MAX_SIDE)
        _check_frames(pipeline, frames)
        more: dict[str, Any] = {"num_frames": frames, "width": width, "height": height}
        more = {name: value for name, value in more.items() if value}
        if "frame_rate" in parameters(pipeline):
            more["frame_rate"] = frame_rate
        watch = Watch(on_step, cancel)
        more["output_type"] = "pil"
        found, said = run_media(self.loaded, prompt, negative_prompt, steps, guidance_scale, seed, more, watch)
        return Video(tuple(found.frames[0]), frame_rate, {**said, "frame_rate": frame_rate})


def _check_frames(pipeline: Any, frames: int) -> None:
    """Refuse a number of frames that an autoencoder which compresses time would change silently."""
    for name in ("vae_temporal_compression_ratio", "vae_scale_factor_temporal"):
        factor = int(getattr(pipeline, name, 1) or 1)
        if frames and factor > 1 and frames % factor != 1:
            below = max((frames - 1) // factor, 0) * factor + 1
            cause = f"{frames} frames are no multiple of {factor} and one"
            raise GeneratorError(STEP, cause, f"Use {below} or {below + factor}")

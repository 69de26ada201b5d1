"""Sound from a prompt, with a pipeline of diffusers (AudioLDM2, MusicLDM, Stable Audio): a WAV file."""

from __future__ import annotations

import threading
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.draw_request import check_range
from generators.drawing import Watch
from generators.errors import GeneratorError, ModelError
from generators.media import STEP, run_media, write_whole
from generators.pipeline_tasks import parameters
from generators.pipelines_loading import load_pipeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from generators.previews import Step

MAX_SECONDS = 600
LENGTHS = ("audio_end_in_s", "audio_length_in_s", "audio_duration")
"""What pipelines call the length of what they make, in seconds."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What was made.

    Attributes:
        samples: [channels, n] in [-1, 1].
        sample_rate: samples a second.
        metadata: how it was made.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    metadata: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Its length."""
        return float(self.samples.shape[1] / self.sample_rate)

    def save(self, path: str | Path) -> Path:
        """A WAV of 16 bits, and the metadata beside it as `<file>.json`. Raises ImageError."""
        return write_whole(Path(path).expanduser(), self._write, self.metadata)

    def _write(self, path: Path) -> None:
        values = (self.samples.clip(-1, 1) * 32767).round().astype("<i2")
        with path.open("wb") as stream, wave.open(stream, "wb") as file:
            file.setnchannels(values.shape[0])
            file.setsampwidth(2)
            file.setframerate(self.sample_rate)
            file.writeframes(values.T.tobytes())


class TextToAudio:
    """A loaded pipeline that makes sound; its Args and errors are those of `TextToImage`."""

    def __init__(
        self,
        model: str | Path,
        revision: str = "",
        device: str = "auto",
        dtype: str = "",
        allow_unpinned: bool = False,
    ) -> None:
        self.loaded = load_pipeline(model, revision, device, dtype, allow_unpinned)
        known = parameters(self.loaded.pipeline)
        self._length = next((name for name in LENGTHS if name in known), "")
        if not self._length:
            cause = f"{type(self.loaded.pipeline).__name__} makes no sound from text"
            raise ModelError(STEP, cause, "Take AudioLDM2, MusicLDM or Stable Audio")

    def make(
        self,
        prompt: str,
        negative_prompt: str = "",
        *,
        seconds: float = 5.0,
        steps: int = 0,
        guidance_scale: float | None = None,
        seed: int | None = None,
        on_step: Callable[[Step], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Sound:
        """Make one sound of `seconds`; the rest is as in `TextToImage.draw`, without previews.

        Raises:
            GeneratorError, Cancelled: as there.
        """
        check_range("seconds", seconds, 0.01, MAX_SECONDS)
        more = {self._length: float(seconds), "output_type": "pt"}
        watch = Watch(on_step, cancel)
        found, said = run_media(self.loaded, prompt, negative_prompt, steps, guidance_scale, seed, more, watch)
        samples = _samples(found.audios[0])
        rate = sample_rate(self.loaded.pipeline)
        return Sound(samples, rate, {**said, "seconds": float(seconds), "sample_rate": rate})


def sample_rate(pipeline: Any) -> int:
    """Samples a second, as the pipeline's vocoder or autoencoder says. Raises ModelError."""
    for part in (getattr(pipeline, "vocoder", None), getattr(pipeline, "vae", None)):
        config = getattr(part, "config", None)
        found = getattr(config, "sampling_rate", None) or getattr(config, "sample_rate", None)
        if found:
            return int(found)
    raise ModelError(STEP, f"{type(pipeline).__name__} does not say its sampling rate", "Take another model")


def _samples(found: Any) -> NDArray[np.float32]:
    """[channels, n] of what a pipeline gives: a tensor or an array, with or without channels."""
    import numpy as np

    values = np.asarray(found.float().cpu() if hasattr(found, "cpu") else found, dtype=np.float32)
    if not np.isfinite(values).all():
        raise GeneratorError(STEP, "the model gave values that are no numbers", "Try dtype float32")
    return values.reshape(-1, values.shape[-1])

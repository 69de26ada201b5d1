"""What a run's model draws by: classes or captions, options of sampling, a code to walk through. Read once a model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from decoder.errors import CheckpointFailed
from decoder.runs.folder import RunFolder
from decoder.runs.record import read_object, write_whole

NOTED = "drawn_by.json"

OPTIONS = {
    "vae": ("temperature",),
    "vqvae": ("temperature",),
    "dcgan": ("truncation",),
    "wgan_gp": ("truncation",),
    "biggan": ("truncation",),
    "stylegan": ("truncation_psi",),
    "ddpm": ("steps", "guidance_scale", "scheduler"),
    "flow_matching": ("steps", "guidance_scale", "scheduler"),
    "latent_text_to_image": ("steps", "guidance_scale", "negative", "scheduler"),
}
"""The options of each family's `sample` that the form offers; those of others take none."""


@dataclass(frozen=True, slots=True)
class DrawnBy:
    """What is asked of a person before this model draws.

    Attributes:
        hears: which of "labels" and "captions" it draws by.
        class_names: of its labels.
        translates: it is given pictures.
        codes: numbers of its flat code; 0 where it has none to walk through.
        encodes: held-out pictures have codes, too.
        words: that its captions may use; empty without captions.
    """

    family: str
    hears: tuple[str, ...]
    class_names: tuple[str, ...]
    translates: bool
    codes: int
    encodes: bool
    words: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Options of sampling that are offered; guidance follows classes or captions alone."""
        known = OPTIONS.get(self.family, ())
        return known if self.hears else tuple(name for name in known if name != "guidance_scale")


def drawn_by(folder: RunFolder) -> DrawnBy:
    """What the model of a finished run draws by; noted in its folder, to open it once. Raises ModelError.

    A training job notes it, so that a page need not load torch for a form.
    """
    config = folder.model / "config.json"
    digest = hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else ""
    noted = read_object(folder.path / NOTED)
    if digest and noted.get("config_sha256") == digest:
        with suppress(TypeError):  # noted by another version: read anew
            said: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in noted["about"].items()
            }
            return DrawnBy(**said)
    about = _read(folder)
    with suppress(CheckpointFailed):  # a folder that is read-only is read anew each time
        kept = {"config_sha256": digest, "about": dataclasses.asdict(about)}
        write_whole(folder.path / NOTED, json.dumps(kept), "noting what a model draws by")
    return about


def _read(folder: RunFolder) -> DrawnBy:
    from generators.errors import GeneratorError
    from generators.latent_space import latent_size
    from generators.model import load_model

    model = load_model(folder.model)
    try:
        codes = latent_size(model)
    except GeneratorError:
        codes = 0
    words = tuple(getattr(model, "words", ())) if "captions" in model.hears else ()
    return DrawnBy(
        model.family,
        model.hears,
        model.shape.class_names,
        bool(model.shape.target_channels),
        codes,
        bool(codes) and hasattr(model, "encode"),
        words,
    )

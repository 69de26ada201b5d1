"""How a picture was made, written into its PNG as one JSON text chunk, and read back as data that nobody vouches for.

What is read is checked against a schema and bounded. It never says what is loaded: to draw a picture again, its model
and its LoRA weights are given by the user and compared by their hashes.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.errors import ImageError, ModelError
from generators.settings import generator_settings

if TYPE_CHECKING:
    from PIL import Image

    from generators.lora_weights import Lora
    from generators.text_to_image import TextToImage

KEY = "hearth"
FORMAT = 1
MAX_BYTES = 256 << 10
STEP = "reading how a picture was made"


@dataclass(frozen=True, slots=True)
class PictureMetadata:
    """How a picture was made.

    Attributes:
        prompt: as it was drawn.
        original_prompt: as it was before its expansion; empty where it was not expanded.
        seed: of this picture. It is drawn alone from it, bit by bit, unless it was one of a batch.
        batch: seed of the batch's first picture, pictures in the batch, number of this one from 0.
        guidance_scale: None where the pipeline has none.
        strength: None without a picture to start from.
        scheduler, scheduler_config: its class and settings.
        scheduler_name: as it was asked for; empty: the model's own.
        model, revision, model_sha256: of `ModelIdentity`.
        loras: {name, sha256, scale} of each.
        image_sha256, mask_sha256: of the pictures it started from, as they were fitted; empty without.
        versions: of the libraries and of Hearth.
        notes: what the user should know: tokens that were left out, say.
    """

    prompt: str
    original_prompt: str
    negative_prompt: str
    seed: int
    batch: tuple[int, int, int]
    width: int
    height: int
    steps: int
    guidance_scale: float | None
    strength: float | None
    scheduler: str
    scheduler_name: str
    scheduler_config: Mapping[str, Any]
    pipeline: str
    model: str
    revision: str
    model_sha256: str
    dtype: str
    device: str
    loras: tuple[Mapping[str, Any], ...] = ()
    image_sha256: str = ""
    mask_sha256: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and how it was made."""

    image: Image.Image
    metadata: PictureMetadata

    def png(self) -> bytes:
        """The picture as a PNG's bytes, with the metadata in it."""
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        said = {"format": FORMAT, **dataclasses.asdict(self.metadata)}
        info.add_itxt(KEY, json.dumps(said, ensure_ascii=False))
        target = BytesIO()
        self.image.save(target, "PNG", pnginfo=info)
        return target.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the PNG whole or not at all. Raises ImageError when it cannot be written."""
        return write_png(self.png(), path)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A picture that was drawn again.

    Attributes:
        picture: as it is now.
        equal: whether every pixel is as it was.
        largest_difference: of a channel's value, of 255.
        notes: what was different in the making: versions, device.
    """

    picture: Picture
    equal: bool
    largest_difference: int
    notes: tuple[str, ...]


def write_png(data: bytes, path: str | Path) -> Path:
    """Write a PNG's bytes whole or not at all. Raises ImageError when it cannot be written."""
    place = Path(path).expanduser()
    part = place.with_name(f".{place.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:  # x: not through a link that somebody has put there
            file.write(data)
        part.replace(place)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ImageError("saving a picture", f"{place}: {error.strerror}", "Choose another place") from error
    return place


def read_metadata(path: str | Path) -> PictureMetadata:
    """How a PNG of ours was made.

    Raises:
        ImageError: the file is no PNG, was not made by Hearth, or what it says is not as Hearth writes it.
    """
    return _read(Path(path).expanduser())[1]


def reproduce(
    path: str | Path,
    model: TextToImage | str | Path | None = None,
    *,
    revision: str = "",
    loras: Sequence[Lora] = (),
    image: Image.Image | str | Path | None = None,
    mask: Image.Image | str | Path | None = None,
) -> Reproduction:
    """Draw a picture again, and tell whether it is the same.

    Args:
        path: a PNG that `Picture.save` wrote.
        model: what it was drawn with; by default the setting `generators.model`. The file never says what is loaded.
        revision: of `model` on the hub, which the file is not asked for either: anybody's proposal has a commit, too.
        loras: the files of its LoRA weights, in any order; scales are the file's.
        image, mask: what it started from.

    Raises:
        ImageError: as `read_metadata`.
        ModelError: the model, the weights or the pictures are not those that it was made with.
    """
    from generators.lora_weights import Lora, lora_digest
    from generators.text_to_image import TextToImage

    before, said = _read(Path(path).expanduser())
    if before.size != (said.width, said.height):
        cause = f"{path} has {before.width} x {before.height} pixels, and says {said.width} x {said.height}"
        raise ImageError("drawing again", cause, "Give the picture as it was saved")
    maker = model if isinstance(model, TextToImage) else TextToImage(model or "", revision)
    identity = maker.identity
    if (identity.revision, identity.sha256) != (said.revision, said.model_sha256):
        cause = f"{path} was drawn by {said.model} {said.revision or said.model_sha256[:12]}"
        cause += f", and {identity.name} {identity.revision or identity.sha256[:12]} is another model"
        raise ModelError("drawing again", cause, "Give the model that it was drawn by")
    by_digest = {lora_digest(lora): lora for lora in loras}
    missing = [entry["name"] for entry in said.loras if entry["sha256"] not in by_digest]
    if missing:
        raise ModelError("drawing again", f"LoRA weights are missing: {', '.join(missing)}", "Give their files")
    first, size, index = said.batch
    drawn = maker.draw(
        said.prompt, said.negative_prompt, width=said.width, height=said.height, steps=said.steps,
        guidance_scale=said.guidance_scale, seed=first, count=size, batch_size=size, scheduler=said.scheduler_name,
        loras=tuple(Lora(by_digest[entry["sha256"]].path, entry["scale"]) for entry in said.loras),
        image=image, mask=mask, strength=said.strength,
    )[index]  # fmt: skip
    if (drawn.metadata.image_sha256, drawn.metadata.mask_sha256) != (said.image_sha256, said.mask_sha256):
        raise ModelError("drawing again", f"{path} started from another picture or mask", "Give what it started from")
    return _compare(before, drawn, said)


def largest_difference(before: Image.Image, after: Image.Image) -> int:
    """Of a channel's value, of 255, between two pictures of one size and mode."""
    from PIL import ImageChops

    extrema = ImageChops.difference(before, after).getextrema()
    return max(int(high) for _, high in (extrema if isinstance(extrema[0], tuple) else (extrema,)))


def _compare(before: Image.Image, drawn: Picture, said: PictureMetadata) -> Reproduction:
    notes = [
        f"{name} was {was}, and is {now}"
        for name, was, now in (
            *((key, was, drawn.metadata.versions.get(key, "absent")) for key, was in said.versions.items()),
            ("scheduler", said.scheduler, drawn.metadata.scheduler),
            ("scheduler's settings", said.scheduler_config, drawn.metadata.scheduler_config),
            ("dtype", said.dtype, drawn.metadata.dtype),
            ("device", said.device, drawn.metadata.device),
        )
        if was != now
    ]
    if before.size != drawn.image.size or before.mode != drawn.image.mode:
        return Reproduction(drawn, False, 255, (*notes, "the file's picture has another size or mode"))
    largest = largest_difference(before, drawn.image)
    return Reproduction(drawn, largest == 0, largest, tuple(notes))


def read_png(path: Path) -> tuple[Image.Image, dict[str, str]]:
    """A PNG's picture and its texts by keyword, as they stand there.

    Raises:
        ImageError: the file is no sound PNG, or too large.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures; the size is judged here
        try:
            with Image.open(path, formats=("PNG",)) as image:
                limit = generator_settings().max_pixels
                if image.width * image.height > limit:
                    raise ImageError(STEP, f"{path} has more than {limit:,} pixels", "Give a picture of Hearth's")
                image.load()
                texts = dict(getattr(image, "text", {}))
                picture = image.copy()
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise ImageError(STEP, f"{path} is no sound PNG: {str(error)[:200]}", "Give a PNG of Hearth's") from error
    return picture, texts


def _read(path: Path) -> tuple[Image.Image, PictureMetadata]:
    picture, texts = read_png(path)
    if KEY not in texts:
        other = " (another program's parameters are in it)" if "parameters" in texts or "prompt" in texts else ""
        raise ImageError(STEP, f"{path} does not say how Hearth made it{other}", "Give a PNG of Hearth's")
    return picture, _parse(str(texts[KEY]), path)


def _parse(text: str, path: Path) -> PictureMetadata:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    from generators.picture_schema import SCHEMA

    remedy = "The file was changed; draw the picture anew"
    try:
        if len(text.encode()) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES >> 10} KiB")
        said = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ImageError(STEP, f"{path}: the metadata cannot be read: {str(error)[:120]}", remedy) from error
    fault = next(Draft202012Validator(SCHEMA).iter_errors(said), None)
    if fault is not None:
        where = ".".join(map(str, fault.path)) or "metadata"
        raise ImageError(STEP, f"{path}: {where} is not as Hearth writes it: {fault.message[:120]}", remedy)
    wholes = (*said["batch"], *(said[key] for key in ("seed", "width", "height", "steps")))
    if any(isinstance(value, float) for value in wholes):  # a JSON schema takes 1.0 for a whole number
        raise ImageError(STEP, f"{path}: a whole number is written as a fraction", remedy)
    if not said["batch"][2] < said["batch"][1] or said["seed"] != said["batch"][0] + said["batch"][2]:
        raise ImageError(STEP, f"{path}: batch and seed contradict each other", remedy)
    said.pop("format")
    tuples = {key: tuple(said[key]) for key in ("batch", "loras", "notes")}
    return PictureMetadata(**{**said, **tuples})


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")

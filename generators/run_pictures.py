"""Pictures of a trained run, each with how it was drawn in its PNG, so that it can be drawn again bit by bit.

As in `picture_metadata`, what is read is checked against a schema, and never says what is loaded: the run is given by
the user and compared by its model's hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from decoder.runs.folder import RunFolder
from generators.errors import ImageError, ModelError
from generators.picture_metadata import MAX_BYTES, largest_difference, read_png, write_png

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

KEY = "hearth-run"
STEP = "reading how a picture was made"
MOST = 64
"""Pictures that are drawn at once; each remembers what all of them were drawn for."""


@dataclass(frozen=True, slots=True)
class RunPictureMetadata:
    """How a picture was drawn from a run.

    Attributes:
        run, family: of the recipe.
        model_sha256: of the run's model.
        seed: of all that were drawn with it; count: how many, number: which of them, from 0.
        labels: of each of them; empty where none was asked for.
        label: the name of this one's class; empty without.
        captions: of each of them, or none.
        images_sha256: of what was translated, as it was fitted; empty without.
        options: of the family's `sample`.
        versions: of the libraries and of Hearth; device: where it was drawn.
    """

    run: str
    family: str
    model_sha256: str
    seed: int
    count: int
    number: int
    labels: tuple[int, ...] = ()
    label: str = ""
    captions: tuple[str, ...] = ()
    images_sha256: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunPicture:
    """A picture and how it was drawn."""

    image: Image.Image
    metadata: RunPictureMetadata

    def save(self, path: str | Path) -> Path:
        """Write the PNG whole or not at all, with the metadata in it. Raises ImageError."""
        from PIL.PngImagePlugin import PngInfo

        info, target = PngInfo(), BytesIO()
        info.add_itxt(KEY, json.dumps({"format": 1, **dataclasses.asdict(self.metadata)}, ensure_ascii=False))
        self.image.save(target, "PNG", pnginfo=info)
        return write_png(target.getvalue(), path)


@dataclass(frozen=True, slots=True)
class RunReproduction:
    """A picture that was drawn again: whether every pixel is as it was, the largest difference (of 255), and notes."""

    picture: RunPicture
    equal: bool
    largest_difference: int
    notes: tuple[str, ...]


def draw_run(
    folder: RunFolder,
    count: int,
    *,
    labels: Sequence[int] | None = None,
    captions: Sequence[str] = (),
    images: Tensor | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> list[RunPicture]:
    """Draw `count` pictures, as `generators.sample` does with these arguments.

    Raises:
        UsageError: more than `MOST`, or as `sample`.
        GeneratorError, RecipeError: as `sample`.
    """
    from generators.picture_notes import library_versions
    from generators.sample import open_model, sample

    if not 1 <= count <= MOST:
        raise UsageError("drawing", f"{count} pictures are asked for", f"Ask for 1 to {MOST}")
    model = open_model(folder)
    drawn = sample(model, count, labels=labels, captions=captions, images=images, seed=seed, **(options or {}))
    names, state = model.shape.class_names, folder.state
    about = RunPictureMetadata(
        run=str(state.get("name") or folder.path.name),
        family=model.family,
        model_sha256=model_digest(folder),
        seed=seed,
        count=count,
        number=0,
        labels=tuple(labels or ()),
        captions=tuple(captions),
        images_sha256=_digest_of(images),
        options=dict(options or {}),
        device=next((p.device.type for p in model.parameters()), "cpu"),
        versions=library_versions(),
    )
    return [
        RunPicture(
            _as_pillow(image),
            dataclasses.replace(about, number=number, label=names[about.labels[number]] if about.labels else ""),
        )
        for number, image in enumerate(drawn)
    ]


def read_run_metadata(path: str | Path) -> RunPictureMetadata:
    """How a PNG of `RunPicture.save` was drawn. Raises ImageError when it is none, or says what Hearth never writes."""
    return _read(Path(path))[1]


def reproduce_run(path: str | Path, folder: RunFolder, images: Tensor | None = None) -> RunReproduction:
    """Draw a picture again, and tell whether it is the same.

    Args:
        path: a PNG that `RunPicture.save` wrote.
        folder: the run that it was drawn from.
        images: what was translated, where it was a translation.

    Raises:
        ImageError: as `read_run_metadata`.
        ModelError: the run, or what was translated, is another.
    """
    before, said = _read(Path(path))
    if model_digest(folder) != said.model_sha256:
        raise ModelError("drawing again", f"the model of {folder.path.name} is another by now", "Draw a new picture")
    if _digest_of(images) != said.images_sha256:
        raise ModelError("drawing again", "what was translated is another picture", "Give what it started from")
    labels = list(said.labels) or None
    again = draw_run(
        folder, said.count, labels=labels, captions=said.captions, images=images, seed=said.seed, options=said.options
    )[said.number]
    now = again.metadata
    notes = [
        f"{name} was {was}, and is {now.versions.get(name, 'absent')}"
        for name, was in said.versions.items()
        if was != now.versions.get(name, "absent")
    ]
    notes += [f"device was {said.device}, and is {now.device}"] if said.device != now.device else []
    if before.size != again.image.size or before.mode != again.image.mode:
        return RunReproduction(again, False, 255, (*notes, "the file's picture has another size or mode"))
    largest = largest_difference(before, again.image)
    return RunReproduction(again, largest == 0, largest, tuple(notes))


def model_digest(folder: RunFolder) -> str:
    """SHA-256 of a run's model: its configuration and weights, by name. Raises ModelError when there is none."""
    files = sorted(p for p in folder.model.rglob("*") if p.suffix in (".json", ".safetensors") and p.is_file())
    if not files:
        raise ModelError("loading the model", f"{folder.path.name} has no model yet", "Let its training finish")
    total = hashlib.sha256()
    for file in files:
        total.update(file.relative_to(folder.model).as_posix().encode())
        with file.open("rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return total.hexdigest()


def _as_pillow(image: Tensor) -> Image.Image:
    from PIL import Image

    from generators.pictures import as_bytes

    values = as_bytes(image).numpy()
    return Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))


def _digest_of(images: Tensor | None) -> str:
    if images is None:
        return ""
    values = images.float().cpu().contiguous().numpy()
    return hashlib.sha256(f"{list(values.shape)}".encode() + values.tobytes()).hexdigest()


def _read(path: Path) -> tuple[Image.Image, RunPictureMetadata]:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    picture, texts = read_png(path)
    remedy = "The file was changed; draw the picture anew"
    if KEY not in texts:
        raise ImageError(STEP, f"{path.name} does not say how it was drawn", "Give a PNG of Hearth's")
    text = texts[KEY]
    try:
        if len(text.encode()) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES >> 10} KiB")
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImageError(STEP, f"{path.name}: the metadata cannot be read: {str(error)[:120]}", remedy) from error
    fault = next(Draft202012Validator(_schema()).iter_errors(said), None)
    if fault is not None or any(isinstance(said[key], float) for key in ("seed", "count", "number")):
        where = ".".join(map(str, fault.path)) if fault is not None else "a number"
        raise ImageError(STEP, f"{path.name}: {where or 'the metadata'} is not as Hearth writes it", remedy)
    fits = all(len(said[key]) in (0, said["count"]) for key in ("labels", "captions"))
    if said["number"] >= said["count"] or not fits:
        raise ImageError(STEP, f"{path.name}: the metadata contradicts itself", remedy)
    said.pop("format")
    return picture, RunPictureMetadata(**{**said, "labels": tuple(said["labels"]), "captions": tuple(said["captions"])})


def _schema() -> dict[str, Any]:
    from generators.draw_request import MAX_PROMPT, MAX_SEED
    from generators.picture_schema import DIGEST, FLAT, text_of, whole_of

    keys: dict[str, Any] = {
        "format": {"const": 1},
        "run": text_of(200),
        "family": text_of(100),
        "model_sha256": DIGEST,
        "seed": whole_of(0, MAX_SEED),
        "count": whole_of(1, MOST),
        "number": whole_of(0, MOST),
        "labels": {"type": "array", "maxItems": MOST, "items": whole_of(0, 1_000_000)},
        "label": text_of(500),
        "captions": {"type": "array", "maxItems": MOST, "items": text_of(MAX_PROMPT)},
        "images_sha256": DIGEST,
        "options": {"type": "object", "maxProperties": 20, "additionalProperties": FLAT},
        "device": text_of(100),
        "versions": {"type": "object", "maxProperties": 20, "additionalProperties": text_of(100)},
    }
    return {"type": "object", "properties": keys, "required": list(keys), "additionalProperties": False}

"""Jobs that draw: pictures of a run or of a pipeline, one of them once more, or the way between two codes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from ui.browser.picture_gallery import Gallery, gallery_of, new_ids
from ui.browser.picture_runs import run_folder
from ui.cli.generate_options import require_generators

if TYPE_CHECKING:
    from torch import Tensor

    from generators.previews import Step
    from generators.sampling_steps import SamplingStep
    from generators.text_to_image import TextToImage
    from ui.browser.job_process import Running

PREVIEW = "preview.png"
"""In the job's folder: the picture as it is by now."""
PREVIEW_COUNT = 16
"""Pictures of a batch that a preview shows."""


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """Do what `spec["does"]` says. Raises UsageError, GeneratorError, RecipeError."""
    require_generators()
    gallery = gallery_of(str(spec["owner"])).made()
    job.tell(now=True, doing="loading", share=0.0)
    if spec["does"] == "reproduce":
        return _reproduce(str(spec["picture"]), gallery, job)
    if spec["does"] in ("walk", "traverse"):
        from ui.browser.picture_walk import make_walk

        return make_walk(spec, gallery, job)
    return {"pictures": _draw_run(spec, gallery, job) if spec["from"] == "run" else _draw_prompt(spec, gallery, job)}


def _draw_run(spec: Mapping[str, Any], gallery: Gallery, job: Running) -> list[str]:
    from generators.run_pictures import draw_run
    from generators.sampling_steps import steps_told

    folder, count = run_folder(str(spec["run"])), int(spec["count"])
    images = _inputs(spec, gallery)
    with steps_told(_Previews(job)):
        drawn = draw_run(
            folder,
            len(images) if images is not None else count,
            labels=spec.get("labels") or None,
            captions=spec.get("captions") or (),
            images=images,
            seed=int(spec["seed"]),
            options=spec.get("options") or {},
        )
    ids = new_ids(len(drawn))
    for picture, name in zip(drawn, ids, strict=True):
        gallery.note(name, spec)
        picture.save(gallery.path / f"{name}.png")
    job.tell(now=True, share=1.0, pictures=ids)
    return ids


def _draw_prompt(spec: Mapping[str, Any], gallery: Gallery, job: Running) -> list[str]:
    """Pictures one by one, each shown as soon as it is there: bit by bit what one call would draw."""
    from generators.text_to_image import TextToImage

    maker, seed, count = TextToImage(str(spec["model"])), int(spec["seed"]), int(spec["count"])
    ids, there = new_ids(count), []
    for number, name in enumerate(ids):
        drawn = maker.draw(
            str(spec["prompt"]),
            str(spec.get("negative", "")),
            seed=seed + number,
            on_step=_PipelineSteps(job, number, count),
            **_pipeline_arguments(spec, gallery),
        )[0]
        gallery.note(name, spec)
        drawn.save(gallery.path / f"{name}.png")
        there.append(name)
        job.tell(now=True, pictures=there)
    return there


def _pipeline_arguments(spec: Mapping[str, Any], gallery: Gallery) -> dict[str, Any]:
    numbers = {name: int(spec.get(name) or 0) for name in ("width", "height", "steps")}
    pictures = {name: gallery.input(str(spec[name])) for name in ("image", "mask") if spec.get(name)}
    fractions = {key: spec.get(key) for key in ("guidance_scale", "strength") if spec.get(key) is not None}
    if not pictures:
        fractions.pop("strength", None)
    return {**numbers, **pictures, **fractions, "scheduler": str(spec.get("scheduler") or "")}


def _reproduce(picture: str, gallery: Gallery, job: Running) -> dict[str, Any]:
    """Draw a picture of the gallery again; what is loaded is in our note of it, never in the PNG."""
    file, asked = gallery.file(picture), gallery.asked(picture)
    if asked.get("from") == "run":
        from generators.run_pictures import reproduce_run
        from generators.sampling_steps import steps_told

        with steps_told(_Previews(job)):
            again: Any = reproduce_run(file, run_folder(str(asked["run"])), _inputs(asked, gallery))
    elif asked.get("from") == "pipeline":
        from generators.picture_metadata import reproduce

        given: dict[str, Any] = {name: gallery.input(str(asked[name])) for name in ("image", "mask") if asked.get(name)}
        again = reproduce(file, _maker(asked), **given)
    else:
        raise UsageError("drawing again", "what it was drawn with is not known any more", "Draw a new picture")
    again.picture.save(job.folder / "again.png")
    return {
        "picture": picture,
        "equal": again.equal,
        "largest_difference": again.largest_difference,
        "notes": list(again.notes),
    }


def _maker(asked: Mapping[str, Any]) -> TextToImage:
    from generators.text_to_image import TextToImage

    return TextToImage(str(asked["model"]))


def _inputs(spec: Mapping[str, Any], gallery: Gallery) -> Tensor | None:
    """What a translating model is given: the picture that was uploaded, or held-out ones of its recipe."""
    from ui.browser.picture_models import drawn_by

    folder = run_folder(str(spec["run"]))
    if not drawn_by(folder).translates:
        return None
    if not spec.get("image"):
        from generators.data import load_pictures
        from generators.recipe import load_recipe

        return load_pictures(load_recipe(folder.path / "recipe.yaml").data).test.floats()[: int(spec["count"])]
    import torch

    from generators.image_files import decode
    from generators.image_fitting import Look
    from generators.model import load_model
    from generators.pictures import as_floats
    from generators.settings import generator_settings

    shape = load_model(folder.model).shape
    look = Look(shape.size, 1 if shape.channels == 1 else 3)
    data = gallery.input(str(spec["image"])).read_bytes()
    return as_floats(torch.from_numpy(decode(data, "the picture", look, generator_settings().max_pixels))[None])


class _Previews:
    """Told of a run's sampling steps: how far it is, and the pictures as they are by now."""

    def __init__(self, job: Running) -> None:
        self._job, self._shown = job, 0.0

    def __call__(self, step: SamplingStep) -> None:
        import time

        self._job.tell(doing="drawing", share=step.number / max(step.steps, 1), step=step.number, steps=step.steps)
        if time.monotonic() - self._shown >= 0.5:
            from generators.grids import save_grid

            self._shown = time.monotonic()
            save_grid(step.pictures()[:PREVIEW_COUNT], self._job.folder / PREVIEW)


class _PipelineSteps:
    """The same of a pipeline, whose pictures are drawn one by one."""

    def __init__(self, job: Running, number: int, count: int) -> None:
        self._job, self._number, self._count, self._shown = job, number, count, 0.0

    def __call__(self, step: Step) -> None:
        import time

        share = (self._number + step.number / max(step.steps, 1)) / self._count
        self._job.tell(doing="drawing", share=min(share, 1.0), step=step.number, steps=step.steps)
        if time.monotonic() - self._shown >= 0.5:
            self._shown = time.monotonic()
            _write_whole(step.preview(), self._job.folder / PREVIEW)


def _write_whole(image: Any, place: Path) -> None:
    aside = place.with_name(f".{place.name}")
    image.save(aside, "PNG")
    aside.replace(place)

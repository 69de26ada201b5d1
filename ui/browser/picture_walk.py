"""The way between two codes of a VAE or a GAN, or along one number of a code: made once, and kept.

A slider then goes through the files; nothing is computed again until the model is another.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from decoder.runs.record import read_object, write_whole
from ui.browser.picture_gallery import Gallery
from ui.browser.picture_runs import run_folder

if TYPE_CHECKING:
    from torch import Tensor

    from decoder.runs.folder import RunFolder
    from generators.model import GenerativeModel
    from ui.browser.job_process import Running

STEP = "walking through the codes"
MOST_STEPS = 64
KEPT = 40
"""Walks of one person that are kept; the oldest go."""
LISTING = "walk.json"
FIELDS = ("does", "run", "start", "end", "steps", "way", "label", "dimension", "reach")


def walk_key(asked: Mapping[str, Any]) -> str:
    """What the pictures of a walk depend on, as a hash: what was asked, and the model's own. Raises ModelError."""
    from generators.run_pictures import model_digest

    said = {name: asked.get(name) for name in FIELDS} | {"model": model_digest(run_folder(str(asked["run"])))}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def made_walk(gallery: Gallery, key: str) -> list[Path]:
    """The pictures of a walk, in order; none where it was not made, or was not finished."""
    place = gallery.walk(key)
    count = read_object(place / LISTING).get("count", 0)
    files = [place / f"{number:03}.png" for number in range(count)]
    return files if files and all(file.is_file() for file in files) else []


def make_walk(asked: Mapping[str, Any], gallery: Gallery, job: Running) -> Mapping[str, Any]:
    """Make a walk's pictures, unless they are there. Raises UsageError, GeneratorError."""
    key = walk_key(asked)
    if not made_walk(gallery, key):
        drawn, place = _pictures(asked), gallery.walk(key)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        from generators.grids import save_grid

        for number, picture in enumerate(drawn):
            save_grid(picture[None], place / f"{number:03}.png")
            job.tell(doing="drawing", share=(number + 1) / len(drawn))
        save_grid(drawn, place / "all.png", len(drawn))
        write_whole(place / LISTING, json.dumps({"count": len(drawn), "asked": dict(asked)}), STEP)
        _forget_oldest(gallery)
    return {"walk": key}


def _pictures(asked: Mapping[str, Any]) -> Tensor:
    import torch

    from generators import latent_space
    from generators.model import load_model

    folder, steps = run_folder(str(asked["run"])), int(asked["steps"])
    if not 2 <= steps <= MOST_STEPS:
        raise UsageError(STEP, f"{steps} pictures are asked for", f"Ask for 2 to {MOST_STEPS}")
    model = load_model(folder.model)
    label = asked.get("label")
    labels = torch.tensor(int(label)) if label is not None and "labels" in model.hears else None
    start = code_of(folder, model, str(asked["start"]), labels)
    if asked["does"] == "traverse":
        row, reach = int(asked["dimension"]), float(asked["reach"])
        return latent_space.traverse(model, start, reach, steps, [row], labels)
    end = code_of(folder, model, str(asked["end"]), labels)
    way: Any = asked["way"]
    return latent_space.interpolate(model, start, end, steps, way, labels)


def code_of(folder: RunFolder, model: GenerativeModel, text: str, labels: Tensor | None) -> Tensor:
    """The code of "7", a seed, or of "picture:7", a held-out picture. Raises UsageError, GeneratorError."""
    from generators import latent_space
    from generators.data import load_pictures
    from generators.recipe import load_recipe

    kind, _, number = text.rpartition(":")
    if kind not in ("", "picture") or not number.isdecimal():
        raise UsageError(STEP, f"{text[:40]!r} is no code", "Give a seed or a held-out picture's number")
    if not kind:
        return latent_space.latent_of(model, int(number))
    held = load_pictures(load_recipe(folder.path / "recipe.yaml").data).test
    at = int(number)
    if at >= len(held):
        raise UsageError(STEP, f"there is no held-out picture {at}", f"Give a number below {len(held)}")
    own = labels if labels is not None or held.labels is None else held.labels[at : at + 1]
    return latent_space.latent_of(model, held.floats()[at], own)


def _forget_oldest(gallery: Gallery) -> None:
    places = sorted((gallery.path / "walks").iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)
    for place in places[KEPT:]:
        shutil.rmtree(place, ignore_errors=True)

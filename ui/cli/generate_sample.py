"""`hearth generate sample` and `interpolate`: pictures of a run's model, side by side or a file each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli.generate_options import (
    STEP,
    Out,
    Run,
    Seed,
    Set,
    labels_from,
    open_run,
    options_from,
    prompts_for,
    require_generators,
)
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_text

if TYPE_CHECKING:
    from torch import Tensor

    from decoder.runs.folder import RunFolder
    from generators.model import GenerativeModel
    from generators.pictures import Pictures

MOST = 10_000
"""Pictures of one command; more than can be looked at."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(sample)
    app.command()(interpolate)


def sample(
    run: Run,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=MOST, help="Pictures.")] = 16,
    labels: Annotated[
        str, typer.Option(help="Classes by name or number, with commas; in turn.", show_default=False)
    ] = "",
    prompt: Annotated[list[str] | None, typer.Option(help="A caption; several take turns.", show_default=False)] = None,
    images: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="Pictures to translate: a folder or another source; by default held-out ones of the recipe.",
            show_default=False,
        ),
    ] = "",
    seed: Seed = 0,
    given: Set = None,
    out: Out = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw pictures from a trained model."""
    folder, options = open_run(run), options_from(given)
    require_generators()
    from generators.sample import open_model
    from generators.sample import sample as draw

    model = open_model(folder)
    chosen = labels_from(labels, model.shape.class_names if "labels" in model.hears else (), count)
    inputs = _inputs(folder, model, images, count)
    count = len(inputs) if inputs is not None else count
    captions = prompts_for(prompt, count)
    drawn = draw(
        model, count, labels=chosen[:count] if chosen else None, captions=captions, images=inputs, seed=seed, **options
    )
    _written(drawn, out or folder.path / f"samples-{seed}.png", json, {"seed": seed})


def interpolate(
    run: Run,
    start: Annotated[
        str, typer.Option("--from", metavar="CODE", help="A seed, or picture:N, the N-th held-out picture (VAE).")
    ] = "0",
    end: Annotated[str, typer.Option("--to", metavar="CODE", help="The same of the other end.")] = "1",
    steps: Annotated[int, typer.Option(min=2, max=MOST, help="Pictures, both ends among them.")] = 9,
    linear: Annotated[bool, typer.Option("--linear", help="On the straight line, and not on the arc.")] = False,
    label: Annotated[str, typer.Option(help="The class of a conditional model's pictures.", show_default=False)] = "",
    out: Out = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Walk from one latent code to another: pictures of a VAE or a GAN on the way."""
    folder = open_run(run)
    require_generators()
    import torch

    from generators import latent_space
    from generators.sample import open_model

    model = open_model(folder).cpu()
    number = labels_from(label, model.shape.class_names if "labels" in model.hears else (), 1)
    labels = torch.tensor(number) if number else None
    ends = [_code(folder, model, text, labels) for text in (start, end)]
    drawn = latent_space.interpolate(model, ends[0], ends[1], steps, "linear" if linear else "spherical", labels)
    named = f"interpolation-{start}-{end}.png".replace(":", "")
    _written(drawn, out or folder.path / named, json, {"from": start, "to": end}, columns=steps)


def _code(folder: RunFolder, model: GenerativeModel, text: str, labels: Tensor | None) -> Tensor:
    from generators import latent_space

    kind, colon, number = text.rpartition(":")
    if not number.isdecimal() or kind not in ("", "picture") or (colon and not kind):
        raise UsageError(STEP, f"{text!r} is no code", "Give a seed, as in 7, or a picture, as in picture:7")
    if not kind:
        return latent_space.latent_of(model, int(number))
    held = _held_out(folder)
    if int(number) >= len(held):
        raise UsageError(STEP, f"there is no held-out picture {number}", f"Give a number below {len(held)}")
    own = labels if labels is not None or held.labels is None else held.labels[int(number) : int(number) + 1]
    return latent_space.latent_of(model, held.floats()[int(number)], own)


def _held_out(folder: RunFolder) -> Pictures:
    """The pictures that the run's training did not see."""
    from generators.data import load_pictures
    from generators.recipe import load_recipe

    return load_pictures(load_recipe(folder.path / "recipe.yaml").data).test


def _inputs(folder: RunFolder, model: GenerativeModel, source: str, count: int) -> Tensor | None:
    """Pictures to translate [at most count, channels, size, size] in [-1, 1]; None where the model translates none.

    Raises UsageError for pictures to a model that takes none.
    """
    if not model.shape.target_channels:
        if source:
            raise UsageError(STEP, f"--images is given, and {model.family} translates no pictures", "Leave it out")
        return None
    if not source:
        return _held_out(folder).floats()[:count]
    from generators.data import read_pictures

    return read_pictures(source, model.shape.size, 1 if model.shape.channels == 1 else 3, count).floats()


def _written(drawn: Tensor, place: Path, json: bool, about: dict[str, Any], columns: int | None = None) -> None:
    from generators.grids import save_grid

    place = place.expanduser()
    if place.suffix.lower() == ".png":
        files = [save_grid(drawn, place, columns)]
    elif place.suffix and not place.is_dir():
        raise UsageError(STEP, f"--out {place} ends in {place.suffix}", "Give a .png, or a folder")
    else:
        files = [save_picture(image, place / f"{number:05}.png") for number, image in enumerate(drawn)]
    if json:
        print_json({"count": len(drawn), **about, "files": files})
    else:
        print_text(str(files[0] if len(files) == 1 else place))


def save_picture(image: Tensor, file: Path) -> Path:
    """One picture [channels, size, size] in [-1, 1] as a PNG of its own size. Raises UsageError."""
    from PIL import Image

    from generators.pictures import as_bytes

    values = as_bytes(image).numpy()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0)).save(file)
    except OSError as error:
        raise UsageError("saving a picture", f"{file}: {error.strerror}", "Give another --out") from error
    return file

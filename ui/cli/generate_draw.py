"""`hearth generate draw` and `reproduce`: pictures from a prompt with a pipeline of the hub, and the same once more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli.generate_options import require_generators
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_table, print_text, remark

if TYPE_CHECKING:
    from generators.picture_metadata import Picture
    from generators.previews import Step

DIFFERENT = 1
"""Exit code of `reproduce` when the picture is another one."""

Prompt = Annotated[str, typer.Argument(help="What is to be seen.", show_default=False)]
Model = Annotated[
    str,
    typer.Option(
        "--model", metavar="NAME", help="A pipeline's folder, or owner/name on the hub.", show_default="the settings'"
    ),
]
Revision = Annotated[str, typer.Option(metavar="COMMIT", help="The whole commit on the hub.", show_default=False)]
Loras = Annotated[
    list[str] | None,
    typer.Option("--lora", metavar="FILE[:SCALE]", help="LoRA weights as safetensors; may be repeated."),
]
StartImage = Annotated[Path | None, typer.Option(metavar="FILE", help="A picture to start from.", show_default=False)]
Mask = Annotated[
    Path | None, typer.Option(metavar="FILE", help="White where the image is drawn anew.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(draw)
    app.command()(reproduce)


def draw(
    prompt: Prompt,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A PNG; several are numbered.")] = Path(
        "picture.png"
    ),
    model: Model = "",
    revision: Revision = "",
    unpinned: Annotated[bool, typer.Option("--unpinned", help="Take a hub's model without a commit.")] = False,
    negative: Annotated[str, typer.Option(metavar="TEXT", help="What is not to be seen.", show_default=False)] = "",
    count: Annotated[int, typer.Option("--count", "-n", help="Pictures.")] = 1,
    batch: Annotated[int, typer.Option(help="Pictures at once.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Of the first; the next has the next.", show_default="new")] = None,
    steps: Annotated[int, typer.Option(help="Of the scheduler.", show_default="the model's")] = 0,
    guidance: Annotated[
        float | None, typer.Option(help="How closely the prompt is followed.", show_default="the model's")
    ] = None,
    width: Annotated[int, typer.Option(help="In pixels.", show_default="the model's")] = 0,
    height: Annotated[int, typer.Option(help="In pixels.", show_default="the model's")] = 0,
    scheduler: Annotated[str, typer.Option(metavar="NAME", help="By name.", show_default="the model's")] = "",
    lora: Loras = None,
    image: StartImage = None,
    mask: Mask = None,
    strength: Annotated[
        float | None, typer.Option(help="How far from the image, up to 1.", show_default="the model's")
    ] = None,
    expand: Annotated[bool, typer.Option("--expand", help="Let the decoder write out the prompt first.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw from a prompt; how it was made is written into the PNG."""
    require_generators()
    _check_out(out)
    from generators.lora_weights import Lora
    from generators.text_to_image import TextToImage
    from ui.cli.output import spinner

    expander = _expander() if expand else None
    with spinner("loading") as show, cancelling() as cancel:
        maker = TextToImage(model, revision, allow_unpinned=unpinned)
        pictures = maker.draw(
            prompt,
            negative,
            width=width,
            height=height,
            steps=steps,
            guidance_scale=guidance,
            seed=seed,
            count=count,
            batch_size=batch,
            scheduler=scheduler,
            loras=[Lora.parse(text) for text in lora or ()],
            image=image,
            mask=mask,
            strength=strength,
            expand=expander,
            on_step=_telling(show, count),
            cancel=cancel,
        )
    files = [picture.save(_numbered(out, i, len(pictures))) for i, picture in enumerate(pictures)]
    _say(pictures, files, json)


def reproduce(
    file: Annotated[Path, typer.Argument(help="A PNG that `draw` wrote.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Also write the new picture.", show_default=False),
    ] = None,
    model: Model = "",
    revision: Revision = "",
    lora: Loras = None,
    image: StartImage = None,
    mask: Mask = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Draw a picture again from what is written in it, and say whether it is the same. The exit code is 1 if not."""
    require_generators()
    from generators.lora_weights import Lora
    from generators.picture_metadata import reproduce as again
    from ui.cli.output import spinner

    with spinner("drawing again"):
        found = again(
            file,
            model or None,
            revision=revision,
            loras=[Lora.parse(text) for text in lora or ()],
            image=image,
            mask=mask,
        )
    saved = found.picture.save(out) if out is not None else None
    if json:
        said = {"equal": found.equal, "largest_difference": found.largest_difference, "notes": found.notes}
        print_json({**said, "file": saved, "metadata": found.picture.metadata})
    else:
        print_text("the same, bit by bit" if found.equal else f"another: a value differs by {found.largest_difference}")
        for note in found.notes:
            remark(note)
    return 0 if found.equal else DIFFERENT


@contextmanager
def cancelling() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that the making ends before its next step; a second Ctrl-C ends it at once."""
    from generators.errors import Cancelled
    from ui.cli.errors import INTERRUPTED

    event = threading.Event()

    def asked(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, asked) if main else None
    try:
        yield event
    except Cancelled as cancelled:
        cancelled.exit_code = INTERRUPTED
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def _telling(show: Callable[[str], None], count: int) -> Callable[[Step], None]:
    def told(step: Step) -> None:
        picture = f"picture {step.picture + 1} of {count}, " if count > 1 else ""
        show(f"{picture}step {step.number} of {step.steps}")

    return told


def _check_out(out: Path) -> None:
    """Refuse before minutes of work what could not be written after. Raises UsageError."""
    place = out.expanduser()
    if place.suffix.lower() != ".png":
        raise UsageError("reading the command line", f"--out {out} is no .png", "Give a name that ends in .png")
    if not place.parent.is_dir():
        raise UsageError("reading the command line", f"there is no folder {place.parent}", "Make it first")


def _numbered(out: Path, number: int, count: int) -> Path:
    return out if count == 1 else out.with_name(f"{out.stem}-{number + 1}{out.suffix}")


def _say(pictures: list[Picture], files: list[Path], json: bool) -> None:
    if json:
        made = [{"file": file, "metadata": picture.metadata} for file, picture in zip(files, pictures, strict=True)]
        print_json({"pictures": made})
        return
    said = pictures[0].metadata
    if said.original_prompt:
        remark(f"drawn from: {said.prompt}")
    print_table(("file", "seed"), [(str(file), str(p.metadata.seed)) for file, p in zip(files, pictures, strict=True)])
    for note in dict.fromkeys(note for picture in pictures for note in picture.metadata.notes):
        remark(note)


def _expander() -> Callable[[str], str]:
    """The decoder as a writer of prompts. Raises UsageError when there is none."""
    from ui.cli import wiring

    decoder = wiring.find_decoder(wiring.DecoderChoice())
    if decoder is None:
        remedy = "Serve a model (hearth serve), or leave out --expand"
        raise UsageError("expanding the prompt", "there is no decoder", remedy)

    def expand(prompt: str) -> str:
        from decoder.types import Message, Sampling

        asked = [Message("system", EXPANDING), Message("user", prompt)]
        return decoder.complete(asked, sampling=Sampling(temperature=0.7, max_tokens=120)).text

    return expand


EXPANDING = (
    "Rewrite the user's idea as one prompt for a text-to-image model: subject, surroundings, light, style; at most 60"
    " words, in English, nothing but the prompt."
)

"""What the commands of `hearth generate` read from the command line alike: runs, options, labels, a seed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from decoder.runs.folder import RunFolder

STEP = "reading the command line"
NEEDED = ("torch", "diffusers", "accelerate", "sklearn", "PIL")
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
"""Read when these libraries are first imported; what the user has set stays."""

Run = Annotated[str, typer.Argument(help="A run's folder, or the name of one under `runs/`.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of sampling, as in steps=10; may be repeated."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the noise; equal seeds draw equal pictures.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="A .png for all of them side by side, or a folder for a file each.",
        show_default=False,
    ),
]


def require_generators() -> None:
    """Before torch and its kin are imported: they are there, and keep their bars and advice to themselves.

    Raises MissingExtra when a package of the extra `generate` is not installed.
    """
    for package in NEEDED:
        if find_spec(package) is None:
            raise MissingExtra("opening the darkroom", package, "generate")
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)


def open_run(name: str) -> RunFolder:
    """A run by its folder, or by its name where runs are kept. Raises UsageError when it is not there."""
    from decoder.runs.folder import RunFolder
    from generators.settings import generator_settings

    given = Path(name).expanduser()
    for place in (given, generator_settings().runs_folder / name):
        if (place / "run.json").is_file():
            return RunFolder(place)
    if (given / "config.json").is_file() and (given.parent / "run.json").is_file():
        return RunFolder(given.parent)  # the folder of its model was named
    raise UsageError("opening a run", f"{name} holds no run", "Train one: hearth generate train RECIPE")


def options_from(given: Sequence[str] | None) -> dict[str, Any]:
    """`steps=10` and the like, values as YAML has them. Raises UsageError."""
    from decoder.yaml_data import BadYaml, read_yaml

    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(STEP, f"--set {text[:80]!r} is no key=value", "Write steps=10")
        try:
            found[name] = read_yaml(value).plain()
        except BadYaml as error:
            raise UsageError(STEP, f"--set {name}: {error}", "Quote the value") from error
    return found


def labels_from(text: str, class_names: Sequence[str], count: int) -> list[int] | None:
    """`three,7,seven` as class numbers, repeated until there is one a picture; None for empty text.

    Raises:
        UsageError: a class is unknown, or the model has none.
    """
    if not text:
        return None
    if not class_names:
        raise UsageError(STEP, "a class is asked for, and this model draws by none", "Leave it out")
    by_name = {name.lower(): number for number, name in enumerate(class_names)}
    numbers = []
    for word in (part.strip().lower() for part in text.split(",")):
        # A class may be called by a number that is not its own: names come first.
        number = by_name.get(word, int(word) if word.isdecimal() else -1)
        if not 0 <= number < len(class_names):
            known = ", ".join(f"{i} {name}" for i, name in enumerate(class_names[:20]))
            raise UsageError(STEP, f"--labels {word!r} is no class of the model", f"Its classes are {known}")
        numbers.append(number)
    return [numbers[i % len(numbers)] for i in range(count)]


def prompts_for(prompts: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """One prompt a picture: the given ones in turn; empty without any."""
    return tuple(prompts[i % len(prompts)] for i in range(count)) if prompts else ()

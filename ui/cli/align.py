"""`hearth align`: each stage of teaching a model as a command, and the recipes that ship."""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alignment.stages import STAGES
from decoder.errors import RecipeError, Stopped
from ui.cli.main import COMMANDS, new_app
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_table, print_text, remark

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder

app = new_app(help=COMMANDS["align"], no_args_is_help=True)

Config = Annotated[
    str,
    typer.Option(
        "--config", metavar="RECIPE", help="A recipe's file, or the name of one that ships.", show_default=False
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key, as in training.max_steps=20; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show rows, tokens, mask and cost; train and write nothing.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run's last whole checkpoint.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="List rows that cannot be used, and go on.")]
Preview = Annotated[
    Path | None,
    typer.Option("--preview-html", metavar="FILE", help="With --dry-run: write the token mask as a page, too."),
]
NoMeasure = Annotated[
    bool, typer.Option("--no-measure", help="With --dry-run: do not load the model to time a micro-step.")
]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a stage's command."""

    config: str
    resume: bool
    dry_run: bool
    preview_html: Path | None
    no_measure: bool
    json: bool


def _command(stage: str) -> Any:
    """The function behind `hearth align STAGE`."""

    def command(
        config: Config,
        given: Set = None,
        dry_run: DryRun = False,
        resume: Resume = False,
        skip_bad: SkipBad = False,
        preview_html: Preview = None,
        no_measure: NoMeasure = False,
        json: Json = False,
        debug: Debug = False,
    ) -> int:
        overrides = [*(given or ()), *(["data.skip_bad=true"] if skip_bad else [])]
        return _run(stage, Asked(config, resume, dry_run, preview_html, no_measure, json), overrides)

    return command


for _name, _entry in STAGES.items():
    _summary = f"{_entry.summary[0].upper()}{_entry.summary[1:]}."
    app.command(_name, help=_summary)(_command(_name))


@app.command()
def recipes(json: Json = False, debug: Debug = False) -> None:
    """List the recipes that ship: small ones for minutes on a CPU, and real ones for one GPU."""
    from alignment.recipe import RECIPES

    files = [file for file in sorted(RECIPES.glob("*.yaml")) if file.stem.partition("-")[0] in STAGES]
    found = [(file.stem, _about(file)) for file in files]  # a ladder of `alignment.scaling` is no stage's recipe
    if json:
        print_json({"folder": str(RECIPES), "recipes": [{"name": name, "about": about} for name, about in found]})
        return
    print_table(("recipe", "what it does"), found)


def _about(file: Path) -> str:
    """The comment that a recipe begins with."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _run(stage: str, asked: Asked, overrides: list[str]) -> int:
    from alignment.models import require_training
    from alignment.recipe import load_recipe

    recipe = load_recipe(asked.config, overrides)
    if recipe.stage != stage:
        remedy = f"Run: hearth align {recipe.stage} --config {asked.config}"
        raise RecipeError("reading the recipe", f"{asked.config} is a recipe of the stage {recipe.stage}", remedy)
    require_training()
    _quiet()
    if asked.dry_run:
        return _look(recipe, asked)
    for name, value in (("--preview-html", asked.preview_html), ("--no-measure", asked.no_measure)):
        if value:
            raise RecipeError("reading the command line", f"{name} was given without --dry-run", "Add --dry-run")
    return _train(recipe, asked, overrides)


def _look(recipe: Recipe, asked: Asked) -> int:
    """A dry run, shown. What the guard refuses comes last, as an error."""
    from alignment.dry_run import dry_run
    from ui.cli.align_show import show_dry_run, write_page
    from ui.cli.output import spinner

    with spinner("looking"):
        found = dry_run(recipe, time_it=not asked.no_measure)
    if asked.preview_html is not None:
        write_page(found, asked.preview_html)
    if not asked.json:
        show_dry_run(found)
    elif found.refusal is None:
        print_json(found.plain())
    if found.refusal is not None:
        raise found.refusal
    return 0


def _train(recipe: Recipe, asked: Asked, overrides: list[str]) -> int:
    from alignment.run_folder import folder_of
    from alignment.stages import train
    from ui.cli.align_watch import INTERRUPT, Aside, as_options, signals_seen, told, watched

    folder = folder_of(recipe)
    with signals_seen() as seen:
        try:
            with watched(folder, f"hearth align {recipe.stage}"), redirect_stdout(Aside()):
                folder = train(recipe, resume=asked.resume)
        except Stopped as stopped:
            said = ["--config", quote(asked.config), *as_options(overrides), "--resume"]
            again = " ".join(["hearth align", recipe.stage, *said])
            raise told(stopped, again, interrupted=INTERRUPT in seen()) from stopped
    _done(folder, recipe, asked.json)
    return 0


def _done(folder: RunFolder, recipe: Recipe, json: bool) -> None:
    """Where the result is, what it came to, and what to do next."""
    state = folder.state
    figures = {name: value for name, value in (state.get("metrics") or {}).items() if isinstance(value, int | float)}
    report = next((path for name in ("report.html", "report.md") if (path := folder.path / name).exists()), None)
    registered = str(state.get("artefact") or "")
    following = f"hearth models {'show ' + registered if registered else 'list'}"
    if not recipe.register:
        following = f"hearth models register {quote(str(folder.path))}"
    if json:
        said = {"status": state.get("status"), "folder": folder.path, "model": folder.model, "report": report}
        print_json({"stage": recipe.stage, "name": recipe.name, **said, "metrics": figures, "next": following})
        return
    print_text(f"{recipe.name} is trained", style="bold")
    facts = {
        "model": str(folder.model) if folder.model.exists() else "",
        **{name: f"{value:.4g}" for name, value in figures.items()},
        "report": str(report or ""),
        "metrics": str(folder.metrics_file) if folder.metrics_file.exists() else "",
    }
    print_table(("figure", "value"), [(name, value) for name, value in facts.items() if value])
    remark(f"next: {following}")


def _quiet() -> None:
    """No bars of other libraries beside ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

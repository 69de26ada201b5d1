"""`hearth generate`: small models of pictures trained, sampled, judged and compared; pictures drawn from prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import Stopped, UsageError
from ui.cli import generate_draw, generate_sample
from ui.cli.align_watch import INTERRUPT, as_options, signals_seen, told
from ui.cli.generate_options import STEP, Run, Set, open_run, options_from, require_generators
from ui.cli.main import COMMANDS, new_app
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_table, print_text, remark

if TYPE_CHECKING:
    from decoder.runs.folder import RunFolder
    from generators.sections import Recipe
    from generators.trainer_progress import Progress

app = new_app(help=COMMANDS["generate"], no_args_is_help=True)

RecipeName = Annotated[str, typer.Argument(help="A recipe's file, or the name of one that ships.", show_default=False)]
RecipeNames = Annotated[
    list[str], typer.Argument(help="Recipes' files, or names of ones that ship.", show_default=False)
]
SetKey = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key, as in training.max_steps=20; may be repeated."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run's last whole checkpoint.")]


@app.command()
def train(
    recipe: RecipeName, given: SetKey = None, resume: Resume = False, json: Json = False, debug: Debug = False
) -> int:
    """Train one model as a recipe says, and leave its run's folder with a report."""
    from generators.recipe import load_recipe

    overrides = list(given or ())
    loaded = load_recipe(recipe, overrides)
    require_generators()
    from generators.train import train as train_model

    again = " ".join(["hearth generate train", quote(recipe), *as_options(overrides), "--resume"])
    with _watched(f"hearth generate train {loaded.name}", again) as watch:
        folder = train_model(loaded, resume, watch)
    _done(folder, loaded, json)
    return 0


generate_sample.add_to(app)


@app.command()
def evaluate(
    run: Run,
    samples: Annotated[int, typer.Option(min=0, help="Pictures to draw; 0: as many as the recipe says.")] = 0,
    given: Set = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Judge a run's pictures by every metric, beside what real pictures score."""
    folder, options = open_run(run), options_from(given)
    require_generators()
    from generators.evaluate import evaluate as judge
    from ui.cli.generate_figures import HEADS, evaluation_rows
    from ui.cli.output import spinner

    with spinner("judging"):
        found = judge(folder, samples or None, options or None)
    plain = found.plain()
    if json:
        print_json(plain)
        return
    print_table(HEADS, evaluation_rows(plain))
    remark(f"all of it: {folder.path / 'evaluation.json'}; the report beside it has it, too")


@app.command()
def compare(
    recipes: RecipeNames,
    seeds: Annotated[str, typer.Option(help="Seeds of the runs, with commas between them.")] = "0",
    budget: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="CPU seconds of training for each; 0: as each recipe says.")
    ] = 0,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the runs and the report go.")
    ] = Path("runs/compared"),
    no_study: Annotated[
        bool, typer.Option("--no-study", help="Draw no diffusion model with other steps and guidance scales.")
    ] = False,
    given: SetKey = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train several recipes and hold their pictures against each other.

    Interrupted, the same command goes on: finished runs are kept.
    """
    from generators.recipe import load_recipe

    overrides, numbers = list(given or ()), seeds_from(seeds)
    loaded = [load_recipe(recipe, overrides) for recipe in recipes]
    require_generators()
    from generators.compare import compare as hold

    words = [*map(quote, recipes), "--seeds", seeds, "--budget", f"{budget:g}", "--output", quote(str(output))]
    again = " ".join(["hearth generate compare", *words, *(["--no-study"] * no_study), *as_options(overrides)])
    with _watched("hearth generate compare", again) as watch:
        report = hold(loaded, output.expanduser(), numbers, budget, not no_study, remark, watch)
    if json:
        print_json({"report": report, "recipes": [each.name for each in loaded], "seeds": numbers})
    else:
        print_text(str(report))


generate_draw.add_to(app)


@app.command()
def recipes(json: Json = False, debug: Debug = False) -> None:
    """List the recipes that ship: digits in minutes on a CPU, others for one's own pictures."""
    from generators.recipe import RECIPES

    found = [(file.stem, _about(file)) for file in sorted(RECIPES.glob("*.yaml"))]
    if json:
        print_json({"folder": str(RECIPES), "recipes": [{"name": name, "about": about} for name, about in found]})
        return
    print_table(("recipe", "what it does"), found)


def seeds_from(text: str) -> list[int]:
    """`0,1,2` as numbers. Raises UsageError."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(STEP, f"--seeds {text!r} is no list of numbers", "Write 0,1,2") from error
    if len(set(found)) != len(found) or min(found) < 0:
        raise UsageError(STEP, f"--seeds {text!r} names a seed twice, or one below 0", "Write 0,1,2")
    return found


@contextmanager
def _watched(what: str, again: str) -> Iterator[Callable[[Progress], None]]:
    """The callback that shows progress; a signal's end of a run says `again`, the command that goes on."""
    from ui.cli.generate_watch import watching

    with signals_seen() as seen:
        try:
            with watching(what) as watch:
                yield watch
        except Stopped as stopped:
            raise told(stopped, again, interrupted=INTERRUPT in seen()) from stopped
        except KeyboardInterrupt:  # between two trainings, or before the first
            remark(f"go on with: {again}")
            raise


def _done(folder: RunFolder, recipe: Recipe, json: bool) -> None:
    """Where the result is, what it came to, and what to do next."""
    state = folder.state
    figures = {name: value for name, value in (state.get("metrics") or {}).items() if isinstance(value, int | float)}
    alarms = [_alarm_text(alarm) for alarm in state.get("alarms") or ()]
    report = next((path for name in ("report.html", "report.md") if (path := folder.path / name).exists()), None)
    following = f"hearth generate sample {quote(str(folder.path))}"
    if json:
        said = {"status": state.get("status"), "folder": folder.path, "model": folder.model, "report": report}
        named = {"family": recipe.family, "name": recipe.name, "seconds": state.get("seconds")}
        print_json({**named, **said, "metrics": figures, "alarms": alarms, "next": following})
        return
    print_text(f"{recipe.name} is trained", style="bold")
    seconds = state.get("seconds")
    facts = {
        "steps": f"{state.get('steps', 0):,}",
        "seconds": f"{seconds:.1f}" if isinstance(seconds, int | float) else "",
        **{name: f"{value:.4g}" for name, value in figures.items()},
        "model": str(folder.model),
        "report": str(report or ""),
    }
    print_table(("figure", "value"), [(name, value) for name, value in facts.items() if value])
    for alarm in alarms:
        remark(f"alarm: {alarm}")
    left_out = (state.get("data") or {}).get("skipped")
    if left_out:
        were = "1 picture was" if left_out == 1 else f"{left_out} pictures were"
        remark(f"{were} left out; the report says which and why")
    remark(f"next: {following}")


def _alarm_text(alarm: Any) -> str:
    return str(alarm.get("text", alarm)) if isinstance(alarm, dict) else str(alarm)


def _about(file: Path) -> str:
    """The comment that a recipe begins with."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""

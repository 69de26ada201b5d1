"""`hearth tiny`: the rows that hearth-tiny is trained on, the cases that it is measured on, and the measuring."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli import tiny_preference, wiring
from ui.cli.keeping import Keep, check_keep, keep
from ui.cli.main import COMMANDS, new_app
from ui.cli.options import BaseUrl, Debug, Json, Model
from ui.cli.output import as_data, print_json, print_table, progress_bar, remark

if TYPE_CHECKING:
    from ui.tiny.scores import Measure

app = new_app(help=COMMANDS["tiny"], no_args_is_help=True)

STEP = "reading the command line"
HEADS = ("measure", "right", "share", "95% interval")
MOST_LISTED = 5
NAMING = "Name a model's folder, give --base-url"

Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the files go.", show_default=False)]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Equal seeds draw equal cases.")]
Scale = Annotated[float, typer.Option(metavar="F", min=0, help="So many times as many rows as the recipes are for.")]
Books = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Books in the public domain, {title, text} a line; .xz or .gz too.")
]
School = Annotated[
    Path | None, typer.Option(metavar="FILE", help="GSM8K's training rows, {question, answer} a line; .gz too.")
]
Cases = Annotated[int, typer.Option(metavar="N", min=1, help="Cases of each measure; dearer ones take fewer.")]
Folder = Annotated[Path | None, typer.Argument(help="A folder with a model, run in process.", show_default=False)]
Only = Annotated[str, typer.Option(metavar="NAMES", help="Some measures alone, as in arithmetic,agent.")]
Squad = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="SQuAD 1.1 as JSON; $HEARTH_TEST_DATA/squad/squad-13-articles.json if there."),
]


@app.command()
def data(
    out: Out,
    scale: Scale = 1.0,
    seed: Seed = 0,
    books: Books = None,
    school: School = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the rows to train on, a file for each stage. Public text comes in where its files are given."""
    from ui.tiny.data import write

    given = {"--books": books, "--school": school}
    for option, file in given.items():
        if file is not None and not file.is_file():
            raise UsageError(STEP, f"{option} {file} is no file", "Give a file of JSON lines")
    written = write(out, scale, seed, books, school)
    left_out = [option for option, file in given.items() if file is None]
    for option in left_out:
        remark(f"without {option} its rows are left out")
    _tell_files(out, written, json, {"left_out": left_out})


@app.command("held-out")
def held_out(out: Out, cases: Cases = 200, seed: Seed = 0, json: Json = False, debug: Debug = False) -> None:
    """Write cases to measure on, in wordings and with names that training leaves out.

    arithmetic.jsonl is for `hearth prompt eval zero-shot-cot`, arithmetic-direct.jsonl for `zero-shot`, grounded.jsonl
    for `grounded-answer --answer text`.
    """
    from ui.tiny.held_out import write

    _tell_files(out, write(out, cases, seed), json)


@app.command()
def measure(
    model_folder: Folder = None,
    cases: Cases = 200,
    only: Only = "",
    seed: Seed = 0,
    squad: Squad = None,
    out: Keep = None,
    model: Model = "",
    base_url: BaseUrl = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a decoder on held-out cases: arithmetic, errands with tools, answers from passages, orders, dialogues.

    Measures: arithmetic, agent, knowledge (the agent over a knowledge base of files), grounded, squad, orders,
    dialogues. The interval is Wilson's; differences are of the same cases, with a bootstrap's.
    """
    from ui.tiny.measure import Wanted, measured

    wanted = Wanted(cases, seed, _names(only), squad or _squad())
    if "squad" in wanted.only and wanted.squad is None:
        raise UsageError(STEP, "--only names squad, and there is no file of it", "Give --squad FILE")
    if model_folder is not None and (base_url or model):
        raise UsageError(STEP, "a model's folder was given together with --base-url or --model", "Give one of them")
    check_keep(out)
    known: dict[str, Any] = {}
    found: list[Measure] = []
    choice = wiring.DecoderChoice(base_url=base_url, model=model, embedded=model_folder)
    with wiring.measured_decoder(choice, "measuring", NAMING) as decoder, progress_bar() as on_progress:
        for each in measured(decoder, wanted, on_progress):
            found.append(each)
            _remark(each)
            known = as_data({"model": decoder.model, "cases": cases, "seed": seed, "measures": found})
            keep(out, known)  # at once: what comes later may fail
    if json:
        print_json(known)
        return
    print_table(HEADS, _rows(found))


tiny_preference.add_to(app)


def _names(only: str) -> tuple[str, ...]:
    from ui.tiny.measure import NAMES

    names = tuple(name.strip() for name in only.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise UsageError(STEP, f"--only: no measure is called {name!r}", f"Known: {', '.join(NAMES)}")
    return names


def _squad() -> Path | None:
    folder = os.environ.get("HEARTH_TEST_DATA")
    file = Path(folder) / "squad" / "squad-13-articles.json" if folder else None
    return file if file is not None and file.is_file() else None


def _remark(measure: Measure) -> None:
    """What it took, and what the decoder failed on."""
    rate = measure.tokens / measure.seconds if measure.seconds else 0.0
    remark(f"{measure.name}: {measure.tokens} tokens written in {measure.seconds:.0f} s, {rate:.0f} a second")
    for case, reason in list(measure.failed.items())[:MOST_LISTED]:
        remark(f"  {case} was not answered: {reason}")
    if measure.failed:
        remark(f"  {len(measure.failed)} cases were not answered and count as wrong")


def _rows(found: Sequence[Measure]) -> Iterator[tuple[str, ...]]:
    for measure in found:
        for score in measure.scores:
            share = score.share
            name = f"{measure.name}: {score.name}"
            yield name, f"{score.right} of {score.of}", f"{share.value:.3f}", f"{share.low:.3f} to {share.high:.3f}"
        for each in measure.differences:
            change = each.change
            name, bounds = f"{measure.name}: {each.name}", f"{change.low:+.3f} to {change.high:+.3f}"
            yield name, f"{change.count} pairs", f"{change.value:+.3f}", bounds


def _tell_files(folder: Path, written: dict[str, int], json: bool, more: dict[str, Any] | None = None) -> None:
    files = {str(folder / f"{name}.jsonl"): count for name, count in written.items()}
    if json:
        print_json({"files": files, **(more or {})})
        return
    print_table(("file", "rows"), [(file, str(count)) for file, count in files.items()])

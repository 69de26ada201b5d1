"""`hearth tiny preference` and `hearth tiny merge`: what preference training did, and its result as a whole model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli.keeping import Keep, check_keep, keep
from ui.cli.options import Debug, Json
from ui.cli.output import as_data, print_json, print_table, print_text, progress_bar

if TYPE_CHECKING:
    from ui.tiny.preference import Learnt

HEADS = ("measure", "of", "value", "95% interval")

Base = Annotated[str, typer.Argument(help="The supervised model's folder.", show_default=False)]
Adapter = Annotated[str, typer.Argument(help="A LoRA adapter's folder, of that model.", show_default=False)]
Adapters = Annotated[list[str], typer.Argument(help="Folders of LoRA adapters of that model.", show_default=False)]
Cases = Annotated[int, typer.Option(metavar="N", min=2, help="Prompts, each asked once of every model.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Equal seeds draw equal prompts and answers.")]
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the model goes.", show_default=False)]


def preference(
    base: Base,
    adapters: Adapters,
    cases: Cases = 200,
    seed: Seed = 0,
    out: Keep = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure what preference training did to a model: answers that are as preferred, and the KL spent on them.

    Held-out prompts, one answer each at temperature 1. Shares have Wilson's interval, wins against the model itself and
    words a bootstrap's; the KL is in nats an answer.
    """
    from ui.tiny.preference import learnt

    check_keep(out)
    with progress_bar() as on_progress:
        found = learnt(base, adapters, cases, seed, on_progress)
    known = as_data({"cases": cases, "seed": seed, "models": found})
    keep(out, known)
    if json:
        print_json(known)
        return
    print_table(HEADS, _rows(found))


def merge(base: Base, adapter: Adapter, out: Out, json: Json = False, debug: Debug = False) -> None:
    """Write a model with an adapter's weights in it, for `hearth tiny measure` and whatever runs no adapters."""
    from alignment.merging import merge as merged

    merged(base, adapter, out)
    if json:
        print_json({"model": out, "base": base, "adapter": adapter})
    else:
        print_text(f"{out} is {base} with {adapter}")


def add_to(app: typer.Typer) -> None:
    """These commands, below `hearth tiny`."""
    app.command()(preference)
    app.command()(merge)


def _rows(found: Sequence[Learnt]) -> Iterator[tuple[str, ...]]:
    for each in found:
        for score in each.scores:
            share = score.share
            bounds = f"{share.low:.3f} to {share.high:.3f}"
            yield f"{each.model}: {score.name}", f"{score.right} of {score.of}", f"{share.value:.3f}", bounds
        if each.wins is not None:
            wins, bounds = each.wins, f"{each.wins.low:.3f} to {each.wins.high:.3f}"
            yield f"{each.model}: wins, ties as half", f"{wins.count} pairs", f"{wins.value:.3f}", bounds
        words, bounds = each.words, f"{each.words.low:.2f} to {each.words.high:.2f}"
        yield f"{each.model}: words", f"{words.count} answers", f"{words.value:.2f}", bounds
        if each.kl is not None:
            error = f"standard error {each.kl.standard_error:.3f}"
            yield f"{each.model}: nats from the first", f"{words.count} answers", f"{each.kl.nats:.3f}", error

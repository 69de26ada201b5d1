"""`hearth models`: what was trained: list, show, load, promote, roll back, compare, check and remove."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli import models_gate
from ui.cli.main import COMMANDS, new_app
from ui.cli.models_gate import Id, known
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_table, print_text, remark

if TYPE_CHECKING:
    from alignment.registry_artefact import Artefact
    from alignment.registry_diff import Difference

app = new_app(help=COMMANDS["models"], no_args_is_help=True)


Server = Annotated[str, typer.Option("--server", metavar="NAME", help="Which `hearth serve`; the only one by default.")]
MOST_MODULES = 20
models_gate.add_to(app)


@app.command("list")
def list_all(json: Json = False, debug: Debug = False) -> None:
    """List what was trained, the oldest first, and what of it answers now."""
    from alignment.registry import list_artefacts

    found = list_artefacts()
    if json:
        print_json({"models": [{**each.plain(), "state": _state(each.id)} for each in found]})
    elif found:
        print_table(("id", "kind", "stage", "made", "state"), [_row(each) for each in found])
    else:
        remark("Nothing is registered yet. Train something: hearth align STAGE --config RECIPE")


@app.command()
def show(model: Id, json: Json = False, debug: Debug = False) -> None:
    """Show what an artefact was made from and by, and what it scored."""
    from alignment.registry import show as find

    artefact = find(model)
    facts = {**artefact.plain(), "folder": str(artefact.model), "state": _state(model)}
    if json:
        print_json(facts)
        return
    for name, value in _flat(facts):
        print_text(f"{name:<30}{value}")


@app.command()
def register(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.", show_default=False)],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take a finished run's result into the registry; a stage does so by itself unless its recipe says otherwise."""
    from alignment.registry import register as take
    from decoder.runs.folder import RunFolder

    artefact = take(RunFolder(run.expanduser()))
    _say(json, {"id": artefact.id, "folder": str(artefact.model)}, f"{artefact.id} is registered")


@app.command()
def load(model: Id, server: Server = "", json: Json = False, debug: Debug = False) -> None:
    """Have the running vLLM serve an adapter under its id, without a restart. Nobody is switched to it."""
    from alignment.registry_serving import load as load_artefact
    from decoder.server import attach

    running = attach(server)
    load_artefact(model, running)
    _say(json, {"id": model, "server": running.name}, f"{running.name} serves {model}; ask it with --model {model}")


@app.command()
def unload(model: Id, server: Server = "", json: Json = False, debug: Debug = False) -> None:
    """Have the running vLLM forget an adapter. Refused for the one that is promoted, and for the one before it."""
    from alignment.registry_serving import unload as unload_artefact
    from decoder.server import attach

    running = attach(server)
    unload_artefact(model, running)
    _say(json, {"id": model, "server": running.name}, f"{running.name} serves {model} no longer")


@app.command()
def rollback(
    server: Server = "",
    to_base: Annotated[bool, typer.Option("--to-base", help="Go back to the base model itself.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take the last promotion back: what answered before it answers again from the next request on."""
    from alignment.registry_serving import rollback as take_back
    from decoder.server import attach

    found = take_back(attach(server), to_base)
    what = f"{found.model} answers again" if found.changed else f"nothing to take back: {found.model} answers"
    _say(json, {"base": found.base, "model": found.model, "before": found.before, "changed": found.changed}, what)


@app.command()
def diff(first: Id, second: Id, json: Json = False, debug: Debug = False) -> None:
    """Compare two artefacts: recipe, data, figures, and how far their weights are apart."""
    from alignment.registry import show as find
    from alignment.registry_diff import diff as compare

    found = compare(find(first), find(second))
    if json:
        print_json({"first": first, "second": second, "facts": found.facts, "modules": found.modules})
    else:
        _print_difference(found)


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="An artefact's id; all of them if not given.")] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check that weights are those that were registered."""
    from alignment.registry import list_artefacts
    from alignment.registry import verify as check

    ids = [known(model)] if model else [each.id for each in list_artefacts()]
    for each in ids:
        check(each)
    _say(json, {"verified": ids}, f"{len(ids)} as registered")


@app.command()
def remove(model: Id, json: Json = False, debug: Debug = False) -> None:
    """Delete an artefact. Refused while it is promoted, and while another was made from it."""
    from alignment.registry import remove as delete

    delete(model)
    _say(json, {"removed": model}, f"{model} is removed")


@app.command()
def history(json: Json = False, debug: Debug = False) -> None:
    """Show what was registered, loaded, promoted, refused and rolled back, and when."""
    from alignment.registry_history import history as events

    found = events()
    if json:
        print_json({"events": found})
        return
    rows = [(_when(float(each.get("time", 0))), *(str(each.get(k, "")) for k in ("event", "id"))) for each in found]
    print_table(("when", "what", "model"), rows)


def _say(json: bool, facts: dict[str, object], line: str) -> None:
    print_json(facts) if json else print_text(line)


def _state(model: str) -> str:
    """Where an artefact answers, or would after a rollback."""
    from decoder.alias import targets

    found = [f"promoted on {base}" for base, target in targets().items() if target.model == model]
    found += [f"last good on {base}" for base, target in targets().items() if target.before == model]
    return ", ".join(found)


def _row(each: Artefact) -> tuple[str, ...]:
    return each.id, each.kind, each.stage, _when(each.created), _state(each.id)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _flat(value: object, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [each for key in value for each in _flat(value[key], f"{name}.{key}".lstrip("."))]
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return [(name, str(value))] if value not in ("", None) else []


def _print_difference(found: Difference) -> None:
    heads = ("what", found.first, found.second)
    print_table(heads, [(name, *(_shown(each) for each in pair)) for name, pair in found.facts.items()])
    if not found.modules:
        remark("Their weights are of different kinds and cannot be compared.")
        return
    print_text(f"weights: norm of the difference {found.norm:.4g}, over {len(found.modules)} modules")
    largest = sorted(found.modules, key=lambda each: -each.norm)[:MOST_MODULES]
    rows = [(each.module, f"{each.norm:.4g}", f"{each.relative:.3f}") for each in largest]
    print_table(("module", "norm", "relative"), rows)


def _shown(value: object) -> str:
    return "-" if value is None else str(value)

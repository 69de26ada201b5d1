"""`hearth feedback`: what people said of answers: to look at, to take back, to forget, and to train on."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from decoder.errors import UsageError
from ui.cli.feedback_text import moment_of, parts, row
from ui.cli.main import COMMANDS, new_app
from ui.cli.options import Debug, Json
from ui.cli.output import print_json, print_table, print_text, remark
from ui.text_cleaning import clean_line

if TYPE_CHECKING:
    from alignment.feedback import Feedback
    from alignment.feedback_events import Where

app = new_app(help=COMMANDS["feedback"], no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="An event, by the id that `list` shows.")]
ModelName = Annotated[str, typer.Option("--model", metavar="NAME", help="Only of answers by this model.")]
Adapter = Annotated[str, typer.Option(metavar="VERSION", help="Only of answers by this version of an adapter.")]
Person = Annotated[str, typer.Option(metavar="NAME", help="Only what this person said.")]
Since = Annotated[str, typer.Option(metavar="DATE", help="Only from then on, as in 2026-11-01 or 2026-11-01T12:30.")]
Until = Annotated[str, typer.Option(metavar="DATE", help="Only before then.")]
Kinds = Annotated[
    list[str] | None, typer.Option("--kind", metavar="KIND", help="Only vote, edit, ranking or comment; repeatable.")
]


@app.command("list")
def list_events(
    model: ModelName = "",
    adapter: Adapter = "",
    person: Person = "",
    since: Since = "",
    until: Until = "",
    kind: Kinds = None,
    retracted: Annotated[bool, typer.Option("--retracted", help="Also what was taken back.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The newest so many.")] = 20,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List feedback, the newest last."""
    events = _store().events(_where(model, adapter, person, since, until, kind), retracted=retracted)[-limit:]
    if json:
        print_json({"events": events})
    elif events:
        heads = ("id", "time", "kind", "person", "model", "what was said")
        print_table(heads, [row(event) for event in events])
    else:
        remark("There is no such feedback. Say /good, /bad or /edit in `hearth chat`.")


@app.command()
def show(event_id: Id, json: Json = False, debug: Debug = False) -> None:
    """Show one event whole: the conversation, the answer, the passages, and what was said of it."""
    event, state = _store().get(event_id)
    if json:
        print_json({"event": event, "state": state})
        return
    exchange = event.exchange
    facts = {"id": event.id, "state": state, "kind": event.kind, "time": moment_of(event), "person": event.person}
    if exchange is not None:
        sampling = ", ".join(f"{name}={value}" for name, value in exchange.sampling.items())
        facts |= {"model": exchange.model, "adapter": exchange.adapter, "sampling": sampling}
        facts |= {"conversation": exchange.conversation}
    for name, value in facts.items():
        if value:
            print_text(f"{name:<14}{clean_line(value)}")
    for title, text in parts(event):
        print_text(f"[{clean_line(title)}]", style="dim")
        print_text(text)


@app.command()
def export(
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="kto, dpo, ranking or sft.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The JSONL file to write.")],
    model: ModelName = "",
    adapter: Adapter = "",
    person: Person = "",
    since: Since = "",
    until: Until = "",
    kind: Kinds = None,
    min_votes: Annotated[int, typer.Option(metavar="N", min=1, help="Least persons behind a row.")] = 1,
    passages: Annotated[
        bool, typer.Option("--passages/--no-passages", help="Put the passages that were shown into the prompts.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write feedback as rows that `hearth align` trains on, and say what became of every event."""
    where = _where(model, adapter, person, since, until, kind, min_votes)
    report = _store().export(to, out, where, passages=passages, overwrite=overwrite)
    if json:
        print_json(report)
        return
    print_text(f"{report.path}: {report.rows} rows from {report.used} of {report.events} events")
    for reason, number in report.left_out.items():
        remark(f"  left out: {number} × {reason}")
    for what, number in report.conflicts.items():
        remark(f"  {CONFLICTS[what]}: {number}")


CONFLICTS = {
    "changed": "changed their mind",
    "by_majority": "disagreed, settled by majority",
    "undecided": "disagreed, left open",
}


@app.command()
def retract(event_id: Id, json: Json = False, debug: Debug = False) -> None:
    """Take an event back: it stays in the file and counts no more."""
    retraction = _store().retract(event_id)
    if json:
        print_json({"retracted": event_id, "by": retraction.id})
    else:
        print_text(f"{clean_line(event_id)} counts no more.")


@app.command()
def forget(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Whose feedback is to go, as `list` names them.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete everything that a person said: hidden at once, then taken out of the file."""
    if not yes:
        _confirm(f"Delete all feedback of {clean_line(person)}? It cannot be brought back.")
    store = _store()
    hidden = store.forget(person)
    done = store.compact()
    if json:
        print_json({"person": person, "hidden": hidden, "compaction": done})
    else:
        print_text(f"{hidden} events of {clean_line(person)} are gone from {store.path}.")
        remark("What was exported earlier, copies of the file, and models trained on them are not changed by that.")


@app.command()
def compact(json: Json = False, debug: Debug = False) -> None:
    """Finish a deletion that was interrupted: take what is forgotten out of the file."""
    store = _store()
    done = store.compact()
    if json:
        print_json(done)
    else:
        print_text(f"{store.path}: {done.removed} events taken out, {done.bytes_after} bytes now")


@app.command()
def stats(json: Json = False, debug: Debug = False) -> None:
    """Show how much feedback there is, of which kinds and models."""
    facts = _store().stats()
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        shown = ", ".join(f"{n} {word or 'unnamed'}" for word, n in value.items()) if isinstance(value, dict) else value
        print_text(f"{name.replace('_', ' '):<16}{clean_line(str(shown))}")
    if facts["compaction_due"]:
        remark("Something forgotten is still in the file. Finish it: hearth feedback compact")


def _store() -> Feedback:
    from alignment.feedback import Feedback

    return Feedback()


def _where(
    model: str, adapter: str, person: str, since: str, until: str, kinds: list[str] | None, min_votes: int = 1
) -> Where:
    from alignment.feedback import SUBJECTS
    from alignment.feedback_events import Kind, Where

    if unknown := set(kinds or ()).difference(SUBJECTS):
        raise UsageError("choosing feedback", f"there is no kind {unknown.pop()!r}", f"Kinds: {', '.join(SUBJECTS)}")
    chosen = cast("tuple[Kind, ...]", tuple(kinds or ()))
    return Where(chosen, model, adapter, person, "", _moment(since), _moment(until), min_votes)


def _moment(text: str) -> float | None:
    """Seconds since 1970; a date without a zone is in the local one."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError("reading a date", f"{text!r} is none", "Write it as 2026-11-01") from error


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("deleting feedback", "nobody is there to ask", "Add --yes")
    if not typer.confirm(question, err=True):
        raise UsageError("deleting feedback", "it was not confirmed", "Nothing was changed")

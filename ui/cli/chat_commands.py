"""The chat's slash commands: a table of functions on the session. The first line of each docstring is its help."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from decoder.errors import UsageError
from ui.cli import chat_feedback, transcript, wiring
from ui.cli.output import print_sources, print_table, print_text
from ui.cli.session import Session
from ui.text_cleaning import clean_line

Command: TypeAlias = Callable[[Session, str], None]


class Leave(Exception):
    """The user wants to leave the chat."""


def sources(session: Session, argument: str) -> None:
    """List the sources of the last answer."""
    if session.last is None or not session.last.citations:
        print_text("The last answer has no sources." if session.last else "Nothing was answered yet.")
    else:
        print_sources(session.last.citations)


def open_source(session: Session, argument: str) -> None:
    """Show source N with the lines around it."""
    citations = {str(c.marker): c for c in (session.last.citations if session.last else ())}
    if not citations:
        raise UsageError("/open", "the last answer has no sources" if session.last else "nothing was answered yet")
    citation = citations.get(argument.strip("[] "))
    if citation is None:
        raise UsageError("/open", f"there is no source {argument!r}", f"Give one of {', '.join(citations)}")
    print_text(clean_line(citation.location), style="cyan")
    print_text(session.base.open(citation))


def knowledge_base(session: Session, argument: str) -> None:
    """List the knowledge bases, or change to NAME."""
    names = wiring.knowledge_bases()
    if not argument:
        rows = [("*" if name == session.kb else "", name) for name in sorted({*names, session.kb})]
        print_table(("", "knowledge base"), rows)
        return
    if argument not in names:
        near = difflib.get_close_matches(argument, names, 1)
        remedy = f"Did you mean {near[0]}?" if near else "Make one with `hearth index`, or list them with /kb"
        raise UsageError("/kb", f"there is no knowledge base {argument}", remedy)
    session.use_knowledge_base(argument)
    print_text(f"Now talking with {argument}.")


def model(session: Session, argument: str) -> None:
    """Show the decoder, or use the server at a URL, another model by name, or none."""
    if not argument:
        print_text(describe_decoder(session))
        return
    if argument == "none":
        decoder = None
    elif argument.startswith(("http://", "https://")):
        decoder = wiring.find_decoder(wiring.DecoderChoice(base_url=argument))
    else:
        base_url = getattr(session.decoder, "base_url", "")
        decoder = wiring.find_decoder(wiring.DecoderChoice(base_url=base_url, model=argument))
    session.use_decoder(decoder)
    print_text(describe_decoder(session))


def save(session: Session, argument: str) -> None:
    """Write the chat to FILE, as Markdown (.md) or JSON (.json)."""
    if not argument:
        raise UsageError("/save", "no file was named", "Give one that ends in .md or .json")
    path = Path(argument).expanduser().absolute()
    transcript.save(session.turns, path, overwrite=path in session.saved)
    session.saved.add(path)
    print_text(f"Saved to {path}.")


def good(session: Session, argument: str) -> None:
    """Say that the last answer was good, with a COMMENT if you like; it is kept for `hearth feedback`."""
    chat_feedback.vote(session, 1, argument)
    print_text("Kept as good.", style="dim")


def bad(session: Session, argument: str) -> None:
    """Say that the last answer was bad, with a COMMENT if you like."""
    chat_feedback.vote(session, -1, argument)
    print_text("Kept as bad.", style="dim")


def edit(session: Session, argument: str) -> None:
    """Give a better answer than the last; without TEXT, $VISUAL or $EDITOR opens with it."""
    kept = chat_feedback.edit(session, argument)
    print_text("Kept as a better answer." if kept else "Nothing was changed, so nothing was kept.", style="dim")


def show_help(session: Session, argument: str) -> None:
    """List these commands."""
    print_table(
        ("command", "what it does"), [(f"/{name} {hint}", summary(name)) for name, (hint, _) in COMMANDS.items()]
    )
    print_text("Ctrl-C stops an answer, Ctrl-D leaves.", style="dim")


def leave(session: Session, argument: str) -> None:
    """Leave the chat."""
    raise Leave


COMMANDS: dict[str, tuple[str, Command]] = {
    "sources": ("", sources),
    "open": ("N", open_source),
    "kb": ("[NAME]", knowledge_base),
    "model": ("[URL or NAME or none]", model),
    "good": ("[COMMENT]", good),
    "bad": ("[COMMENT]", bad),
    "edit": ("[TEXT]", edit),
    "save": ("FILE", save),
    "help": ("", show_help),
    "quit": ("", leave),
}


def summary(name: str) -> str:
    """The help line of a command."""
    return (COMMANDS[name][1].__doc__ or "").splitlines()[0]


def run(session: Session, line: str) -> None:
    """Run a line that begins with a slash.

    Raises:
        Leave: it was /quit.
        UsageError: there is no such command (the nearest is named), or it cannot be done as asked.
    """
    name, _, argument = line[1:].strip().partition(" ")
    if name not in COMMANDS:
        near = difflib.get_close_matches(name.lower(), COMMANDS, 1, cutoff=0.5)
        remedy = f"Did you mean /{near[0]}?" if near else "/help lists the commands"
        raise UsageError("the chat", f"there is no command /{name}", remedy)
    COMMANDS[name][1](session, argument.strip())


def describe_decoder(session: Session) -> str:
    """What writes the answers, in one sentence."""
    if session.decoder is None:
        return "No decoder is set: answers are quoted from the documents."
    where = getattr(session.decoder, "base_url", "")
    name = session.decoder.model or type(session.decoder).__name__
    return f"Answers are written by {name}{f' at {where}' if where else ''}."

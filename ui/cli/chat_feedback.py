"""What the chat keeps of a thumb or an edit: the answer with all that it was made from, and who says so."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import UsageError
from ui.cli.lines import at_a_terminal
from ui.cli.session import Session, Turn, history_of

if TYPE_CHECKING:
    from alignment.feedback_events import Exchange, Shown
    from rag.types import Passage


def vote(session: Session, value: int, comment: str) -> None:
    """Keep a thumb for the last answer. Raises UsageError when nothing was answered."""
    from alignment.feedback import Feedback

    Feedback().vote(exchange(session, "/good" if value > 0 else "/bad"), value, person=person(), comment=comment)


def edit(session: Session, text: str) -> bool:
    """Keep a better answer than the last, from the line or from an editor; False where the editor changed nothing.

    Raises UsageError when nothing was answered, or there is neither a text nor an editor.
    """
    from alignment.feedback import Feedback

    given = exchange(session, "/edit")
    better = text or _from_editor(given.response)
    if not text and better.strip() in ("", given.response.strip()):
        return False
    Feedback().edit(given, better, person=person())
    return True


def person() -> str:
    """Who sits at this terminal, by the name that the system knows; empty where it knows none."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def exchange(session: Session, command: str) -> Exchange:
    """The last turn as feedback keeps it. Raises UsageError when there is none."""
    from alignment.feedback_events import EXTRACTIVE, Exchange
    from decoder.types import Sampling, user

    if not session.turns:
        raise UsageError(command, "nothing was answered yet", "Ask something first")
    *before, turn = session.turns
    messages = (*history_of(before, turn.kb), user(turn.question))
    model = (turn.model or "unnamed") if turn.answer.generated else EXTRACTIVE
    return Exchange.of(
        messages,
        turn.answer.text,
        model=model,
        adapter=model if _registered(model) else "",
        sampling=Sampling(temperature=0.0) if turn.answer.generated else None,  # as rag/generate.py asks
        context=_shown(turn),
        conversation=session.id,
    )


def _registered(model: str) -> bool:
    """Whether what a server calls so is an artefact: an adapter is served under its id."""
    from alignment.registry_artefact import ID, models_folder

    return ID.fullmatch(model) is not None and (models_folder() / model).is_dir()


def _shown(turn: Turn) -> list[Shown]:
    """The passages in the order that the answer's numbers mean.

    A decoder's numbers are those of the passages it was shown. An answer that was quoted numbers its quotes, so the
    passage of each comes first.
    """
    passages = [hit.passage for hit in turn.answer.passages]
    if not turn.answer.generated:
        by_id = {passage.id: passage for passage in passages}
        cited = [by_id[c.passage_id] for c in turn.answer.citations if c.passage_id in by_id]
        passages = [*cited, *(passage for passage in passages if passage not in cited)]
    return [_as_shown(passage) for passage in passages]


def _as_shown(passage: Passage) -> Shown:
    """A passage as the grounded-answer prompt shows it."""
    from alignment.feedback_events import Shown

    label = " > ".join(dict.fromkeys((passage.location, *passage.heading)))
    return Shown("\n".join(part for part in (passage.context, passage.text) if part), label, passage.id)


def _from_editor(text: str) -> str:
    """The text as the user's editor leaves it, in a file that only they can read."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    if not command or not at_a_terminal():
        remedy = "Write it behind /edit" if not at_a_terminal() else "Write it behind /edit, or set EDITOR"
        raise UsageError("/edit", "no better answer was given", remedy)
    with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
        file = Path(folder) / "answer.md"
        file.touch(mode=0o600)
        file.write_text(text + "\n", encoding="utf-8", errors="replace")
        try:
            ended = subprocess.run([*shlex.split(command), str(file)], check=False)
            better = file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UsageError("/edit", f"the editor {command!r} cannot be used: {error}", "Mend EDITOR") from error
    if ended.returncode:
        raise UsageError("/edit", f"the editor ended with {ended.returncode}", "Nothing was kept")
    return better.strip()

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
from ui.cli.session import Session, history_of
from ui.exchange import exchange_of

if TYPE_CHECKING:
    from alignment.feedback_events import Exchange


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
    from decoder.types import Sampling

    if not session.turns:
        raise UsageError(command, "nothing was answered yet", "Ask something first")
    *before, turn = session.turns
    return exchange_of(
        turn.question,
        turn.answer,
        history_of(before, turn.kb),
        model=turn.model,
        sampling=Sampling(temperature=0.0),  # as rag/generate.py asks
        conversation=session.id,
    )


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

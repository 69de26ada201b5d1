"""A run's steps as they happen, for a terminal: thoughts, calls, results; and asking for approval there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from ui.cli.output import remark
from ui.text_cleaning import clean, clean_line

if TYPE_CHECKING:
    from agents.events import Event, ThoughtDelta
    from agents.policy import ApprovalRequest, Policy

LONGEST = 160


class Steps:
    """A listener that writes each event to standard error, and keeps them all.

    Args:
        quiet: keep them, and write nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.events: list[Event] = []
        self._quiet, self._inside = quiet, False

    def delta(self, event: ThoughtDelta) -> None:
        """A piece of a thought, written as it comes when somebody watches."""
        if self._quiet or not sys.stderr.isatty():
            return
        if not self._inside:
            sys.stderr.write("  ")
        self._inside = True
        sys.stderr.write(clean(event.text).replace("\n", "\n  "))
        sys.stderr.flush()

    def __call__(self, event: Event) -> None:
        """Take in one event, and write its line."""
        self.events.append(event)
        if self._quiet:
            return
        streamed = self._inside
        if streamed:  # whatever comes, the thought is at its end
            sys.stderr.write("\n")
            self._inside = False
        for line in _lines(event, streamed):
            remark(line)


def _lines(event: Event, streamed: bool, indent: str = "") -> list[str]:
    from agents import events as e

    match event:
        case e.Thought() if not sys.stderr.isatty() or indent:
            return [f"{indent}  {clean_line(event.text)}"]
        case e.Action():
            return [
                f"{indent}→ {call.tool} {_short(json.dumps(call.arguments, ensure_ascii=False))}"
                for call in _shown(event)
            ]
        case e.Observation():
            mark = "✗" if event.error else "←"
            return [f"{indent}{mark} {_short(event.text)}"]
        case e.Hint() | e.Truncated() | e.Unparsable():
            return [f"{indent}! {_short(event.text)}"]
        case e.Nested():
            return _lines(event.event, streamed, f"{indent}    ")
        case _:
            return []


def _shown(action: Any) -> list[Any]:
    """The calls of tools: the answer is shown by itself."""
    from agents.tool import FINAL_ANSWER

    return [call for call in action.calls if call.tool != FINAL_ANSWER]


def _short(text: str) -> str:
    line = clean_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def policy_for(approve: str) -> Policy:
    """The policy of `--approve`: ask at the terminal, refuse, or allow."""
    from agents.policy import Policy, approve_all

    if approve == "never":
        return Policy()
    return Policy(approve=approve_all if approve == "always" else ask_here)


def ask_here(request: ApprovalRequest) -> bool:
    """Ask at the terminal; without one, the answer is no. The whole call is shown, cleaned."""
    if not sys.stdin.isatty():
        remark(f"Refused, since nobody is here to ask: {request.reason}.")
        return False
    remark(f"\n{request.call.tool} wants to {request.effect}: {request.reason}.")
    remark(clean(json.dumps(request.call.arguments, ensure_ascii=False, indent=2)))
    sys.stderr.write("Allow it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")

"""The ReAct loop (Yao et al. 2022, arXiv:2210.03629): thought, action, observation, until there is an answer.

It puts the parts together and decides nothing itself: `turn.py` asks the decoder, `policy.py` says what may be done,
`acting.py` does it, `budget.py` and `loops.py` end it, `context.py` remembers it, `run.py` is where it stands.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from agents import turn
from agents.acting import act, answered, hinted
from agents.asked import OutOfBudget
from agents.calls import as_text
from agents.errors import UnparsableAction
from agents.events import Ended, Event, FinalAnswer, Hint, RunEnded, RunResult, Truncated, Unparsable
from agents.run import Outside as Outside
from agents.run import Run as Run
from agents.secret import without_secrets
from agents.tool import FINAL_ANSWER
from decoder.base import close_events
from decoder.types import assistant, user

MOST_CUT_OFF = 3
NO_ANSWER = "I came to no answer."


async def events(run: Run) -> AsyncGenerator[Event]:
    """All that happens from here on, ended by `RunEnded`. Raises DecoderError leaves and UnparsableAction."""
    for owed in [*answered(run), *hinted(run)]:  # in a run that goes on: it may not have been written
        yield owed
    while run.context.awaits != "nothing":
        acting = run.context.awaits == "calls"
        if not acting and (ended := _over(run)):
            yield _end(run, ended)
            return
        try:
            async with aclosing(act(run) if acting else _turn(run)) as happening:
                async for event in happening:
                    yield event
                    if isinstance(event, FinalAnswer):
                        break
        except OutOfBudget as over:
            yield _end(run, over.ended)
            return
    yield _end(run, "answer", run.answer)


def _over(run: Run) -> Ended | None:
    """What leaves no room for another turn."""
    return run.meter.exhausted() or ("truncated" if run.cut_off >= MOST_CUT_OFF else None)


async def _turn(run: Run) -> AsyncGenerator[Event]:
    """One step: what the decoder thinks and decides."""
    only_answer = run.force or run.meter.must_answer()
    run.forced = run.forced and bool(only_answer)
    run.meter.add(steps=1)
    if run.context.awaits == "turn":
        run.context.step += 1
    if only_answer and not run.forced:
        yield run.took(Hint(run.context.step, f"{only_answer} Call {FINAL_ANSWER} now.", force_answer=True))
    asked = run.outside.ask(run.asking, run.context, run.meter, bool(only_answer))
    try:
        async for event in asked:
            event = without_secrets(event, run.redact)
            yield run.took(event)
            if isinstance(event, Truncated):
                run.meter.add(truncations=1)
            elif isinstance(event, Unparsable):
                _repair(run, event)
    finally:
        await close_events(asked)


def _repair(run: Run, event: Unparsable) -> None:
    """One repair is free. Raises UnparsableAction when the action before could not be read either."""
    if run.unread > 1:
        cause = f"the decoder's action could not be read twice in a row ({event.cause})"
        error = UnparsableAction(turn.STEP, cause, "Use a decoder that can be constrained, or a larger model")
        error.text = event.text[:2000]
        raise error
    run.meter.add(repairs=1)


def _end(run: Run, ended: Ended, answer: Any = None) -> RunEnded:
    said = assistant(as_text(answer) if ended == "answer" else NO_ANSWER)
    messages = (*run.started.history, user(run.started.task), said)
    return RunEnded(RunResult(run.started.run_id, answer, ended, run.meter.spent, messages, run.context.untrusted))

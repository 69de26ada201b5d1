"""Try a prompt on the decoder: one answer as it is written, or the votes of many, with a stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.browser.problems import live, show_problem
from ui.browser.prompt_attempt import Attempt, ask_often, ask_once
from ui.browser.prompt_charts import show_votes
from ui.browser.safe_text import safe_markdown
from ui.browser.strings import say

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Message
    from prompts.template import Prompt

EVERY = 0.4
HEIGHT = 260
KINDS = ("number", "choice", "yesno", "date", "text", "json")
MODES = ("once", "often")
HELD = "prompt-attempt"


def show_try(prompt: Prompt, messages: tuple[Message, ...], decoder: Decoder) -> None:
    """The choices, the buttons, and what has come."""
    held: tuple[str, str, Attempt] | None = st.session_state.get(HELD)
    if held is not None and held[0] != prompt.name:
        held[2].stop()
        held = st.session_state[HELD] = None
    left, middle, right = st.columns(3)
    with left:
        mode = st.radio(say("prompts.mode"), MODES, format_func=lambda m: say(f"prompts.{m}"), key="prompt-mode")
    with middle:
        kind = st.selectbox(
            say("prompts.kind"), KINDS, format_func=lambda k: say(f"prompts.kind_{k}"), key="prompt-kind"
        )
    with right:
        samples = 0
        if mode == "often":
            samples = st.slider(say("prompts.samples"), 3, 40, 10, key="prompt-samples")
        most = st.number_input(
            say("prompts.max_tokens"), 1, 8192, prompt.sampling.max_tokens or 512, key=f"prompt-max-{prompt.name}"
        )
    going = held is not None and held[2].going
    if st.button(say("prompts.run"), type="primary", icon=":material/play_arrow:", key="prompt-run", disabled=going):
        st.session_state[HELD] = held = (prompt.name, kind, _begin(prompt, messages, decoder, kind, samples, int(most)))
        st.rerun()
    if held is not None:
        held[2].check()
        polling = held[2].going
        live(_attempt, EVERY if polling else None)(held[2], held[1], polling)


def _begin(
    prompt: Prompt, messages: tuple[Message, ...], decoder: Decoder, kind: str, samples: int, most: int
) -> Attempt:
    from decoder.types import Sampling

    sampling = Sampling(max_tokens=most)
    if samples:
        return ask_often(decoder, prompt, messages, sampling, kind, samples)
    return ask_once(decoder, prompt, messages, sampling)


def _attempt(attempt: Attempt, kind: str, polling: bool) -> None:
    if polling and not attempt.going:
        st.rerun()
    if st.button(say("prompts.stop"), icon=":material/stop:", key="prompt-stop", disabled=not attempt.going):
        attempt.stop()
        attempt.wait(2)
        st.rerun()
    with st.container(height=HEIGHT, border=True):
        _what_came(attempt)
    if attempt.stopped:
        st.info(say("prompts.was_stopped"), icon=":material/stop_circle:")
    if attempt.error is not None:
        show_problem(attempt.error)
    if attempt.text and not attempt.going:
        _answer(attempt, kind)
    if attempt.votes:
        show_votes(attempt.votes)


def _what_came(attempt: Attempt) -> None:
    if attempt.text:
        st.markdown(safe_markdown(attempt.text))
    elif attempt.votes or attempt.consensus:
        _consensus(attempt)
    elif attempt.going:
        st.caption(say("prompts.waiting"))
    elif attempt.error is None:
        st.caption(say("prompts.nothing_came"))


def _answer(attempt: Attempt, kind: str) -> None:
    """What was read in a single answer."""
    from prompts.extract import extractor

    found = extractor(kind).find(attempt.text)
    if attempt.truncated:
        st.caption(say("prompts.truncated"))
    st.caption(say("prompts.answer"))
    st.text(found.text if found else say("prompts.no_answer"))


def _consensus(attempt: Attempt) -> None:
    consensus = attempt.consensus
    if consensus is None:
        st.caption(say("prompts.drawn", drawn=attempt.drawn))
        return
    st.caption(say("prompts.winner"))
    st.text(consensus.answer.text if consensus.answer else say("prompts.no_answer"))
    agree, drawn, saved, tokens = st.columns(4)
    agree.metric(say("prompts.agreement"), f"{consensus.confidence:.0%}", help=say("prompts.agreement_help"))
    drawn.metric(say("prompts.samples_drawn"), f"{len(consensus.samples)} / {consensus.asked}")
    saved.metric(say("prompts.samples_saved"), consensus.asked - len(consensus.samples))
    tokens.metric(say("prompts.completion_tokens"), consensus.usage.completion_tokens)
    st.caption(say(f"prompts.stopped_{consensus.stopped}"))
    if lost := consensus.unread + consensus.failed:
        st.caption(say("prompts.unread", count=lost))

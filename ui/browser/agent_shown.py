"""The cards of a run on the page: every text that a model or a tool wrote is shown as text, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from ui.browser.agent_cards import Card
from ui.browser.job_shown import duration
from ui.browser.safe_text import plain, safe_markdown
from ui.browser.strings import say

ICONS = {
    "thought": ":material/lightbulb:",
    "action": ":material/play_arrow:",
    "asked": ":material/front_hand:",
    "approved": ":material/check:",
    "refused": ":material/block:",
    "observation": ":material/visibility:",
    "error": ":material/error:",
    "hint": ":material/info:",
    "unusable": ":material/warning:",
    "answer": ":material/flag:",
    "ended": ":material/timer_off:",
    "resumed": ":material/resume:",
    "team": ":material/group:",
}
REMARKS = ("asked", "approved", "refused", "hint", "resumed", "ended")
"""Shown as a line and not as a card."""
BY = {
    "approver": "agents.by_you",
    "no approver": "agents.by_setting",
    "no answer in time": "agents.by_time",
}
SHORT = 1_500
"""Characters of a result that are shown before "show all"."""
TALL = 420
"""Pixels of a whole result; it scrolls."""


def show_cards(cards: Iterable[Card]) -> None:
    """Show them in order."""
    for card in cards:
        if card.kind in REMARKS:
            st.caption(f"{ICONS[card.kind]} {_remark(card)}")
        else:
            with st.container(border=True, gap="small"):
                show_card(card)


def show_card(card: Card) -> None:
    """One card, without its frame."""
    st.markdown(f"{ICONS[card.kind]} {_headline(card)}")
    match card.kind:
        case "answer":
            st.markdown(safe_markdown(card.text))
        case "thought":
            st.text(card.text)
        case "action":
            st.code(card.text, language=None, wrap_lines=True)
        case "team":
            if card.text:
                st.text(card.text)
            with st.expander(say("agents.team_steps")):
                show_cards(card.inside)
        case _:
            show_long(card.text)


def show_long(text: str) -> None:
    """A text letter by letter; of a long one the beginning, and all of it one press away."""
    if len(text) <= SHORT:
        st.code(text or say("agents.nothing"), language=None, wrap_lines=True)
        return
    st.code(f"{text[:SHORT]}…", language=None, wrap_lines=True)
    with st.expander(say("agents.show_all", characters=f"{len(text):,}")):
        st.code(text, language=None, wrap_lines=True, height=TALL)


def _headline(card: Card) -> str:
    """What it is and about what, and what there is to be said of it, as Markdown."""
    notes = [
        *([say("agents.step", step=card.step)] if card.step else []),
        *([duration(card.seconds)] if card.seconds >= 0.5 else []),
        *([say("agents.untrusted")] if card.untrusted and card.kind == "observation" else []),
        *([say("agents.omitted", characters=f"{card.omitted:,}")] if card.omitted else []),
        *([plain(card.note)] if card.note else []),
    ]
    name = f" · {plain(card.name)}" if card.name else ""
    beside = f" :gray[{' · '.join(notes)}]" if notes else ""
    return f"**{say(f'agents.card_{card.kind}')}{name}**{beside}"


def _remark(card: Card) -> str:
    note = say(BY[card.note]) if card.note in BY else plain(card.note)
    said = [plain(card.name), note, plain(card.text)]
    return " · ".join([say(f"agents.card_{card.kind}"), *filter(None, said)])

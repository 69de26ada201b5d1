"""What a prompt says with the values of the form: each message letter by letter, and where the cached prefix ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui.browser import prompt_tokens
from ui.browser.strings import say

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.types import Message
    from prompts.template import Prompt

ROLES = ("system", "user", "assistant", "tool")


def show_preview(prompt: Prompt, values: Mapping[str, Any], decoder: Decoder | None) -> tuple[Message, ...]:
    """The rendered conversation. Raises RenderError when the values do not fit."""
    from prompts.prefix import stable_prefix

    messages = prompt.render(**values)
    prefix = stable_prefix(prompt, values)
    counted = prompt_tokens.count(decoder, messages, prefix.of(messages))
    about = "" if counted.exact else say("prompts.about")
    note = say("prompts.tokens", tokens=f"{about}{counted.whole}", prefix=f"{about}{counted.prefix}")
    st.caption(note if counted.exact else f"{note} {say('prompts.estimated')}")
    ends = say("prompts.prefix_ends", tokens=f"{about}{counted.prefix}")
    if not prefix.of(messages):
        st.caption(say("prompts.no_prefix"), help=say("prompts.prefix_help"))
    for number, message in enumerate(messages):
        st.markdown(f"**{say(f'prompts.role_{message.role}')}**")
        cut = prefix.characters if number == prefix.whole else 0
        if cut:
            _text(message.text[:cut])
            _line(ends)
        _text(message.text[cut:])
        if number == prefix.whole - 1 and not prefix.characters:
            _line(ends)
    return messages


def _text(text: str) -> None:
    st.code(text, language=None, wrap_lines=True)


def _line(ends: str) -> None:
    """The line at which the prefix ends."""
    st.badge(ends, icon=":material/cached:", color="orange", help=say("prompts.prefix_help"))

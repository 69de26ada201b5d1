"""The variables of a prompt as fields, with what they are for and whether they have to be given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from decoder.errors import UsageError
from ui.browser.prompt_values import AS_JSON, value_of, written
from ui.browser.safe_text import plain
from ui.browser.strings import say

if TYPE_CHECKING:
    from prompts.template import Prompt
    from prompts.variables import Variable

LONG_FIELD = 60
"""Characters above which a text gets a field of several lines."""


def values_from_form(prompt: Prompt) -> dict[str, Any] | None:
    """What the fields give, or None where one of them cannot be read; that is then said below it."""
    if not prompt.variables:
        st.caption(say("prompts.no_variables"))
    values: dict[str, Any] = {}
    good = True
    for variable in prompt.variables:
        text = _field(prompt, variable)
        if isinstance(text, str) and not text.strip() and not variable.required:
            continue  # the default stands
        try:
            values[variable.name] = value_of(variable, text) if isinstance(text, str) else text
        except UsageError as error:
            st.error(plain(error.cause), icon=":material/error:")
            good = False
    return values if good else None


def _field(prompt: Prompt, variable: Variable) -> Any:
    label, key = _label(variable), f"prompt-value-{prompt.name}-{variable.name}"
    told = plain(variable.description) or None
    first = written(variable)
    if variable.type == "boolean":
        return st.checkbox(label, value=first == "true", key=key, help=told)
    if variable.type in ("integer", "number"):
        return st.text_input(label, value=first, key=key, help=told)
    if variable.type in (*AS_JSON, "untrusted") or len(first) > LONG_FIELD or "\n" in first:
        return st.text_area(label, value=first, key=key, help=told, height="content")
    return st.text_input(label, value=first, key=key, help=told)


def _label(variable: Variable) -> str:
    parts = [say(f"prompts.type_{variable.type}"), say("prompts.required" if variable.required else "prompts.optional")]
    return f"{plain(variable.name)} ({', '.join([*parts, *([say('prompts.stable')] if variable.stable else [])])})"

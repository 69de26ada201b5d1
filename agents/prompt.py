"""What the decoder is told of its work: the system message, and the words that invite its next output.

The system message never changes during a run and stands first, so that a prefix cache serves it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from agents.events import Mode
from decoder.types import Tool
from prompts.untrusted import UNTRUSTED_RULE

RULES = """You do a task for a user, step by step, with tools.

- Think in one or two sentences about what to do next, then act. You are then shown what came of it.
- Take facts from what the tools show you, and do not make up what a tool would say.
- If a call fails, read the reason and change something before you try again.
- When you know the answer, or know that it cannot be found, call final_answer."""
NATIVE_RULES = """You do a task for a user, step by step, with tools.

- Take facts from what the tools show you, and do not make up what a tool would say.
- If a call fails, read the reason and change something before you try again.
- When you know the answer, or know that it cannot be found, say it."""

THINK = "Think about what to do next, in one or two sentences. Do not act yet."
ACT = 'Now act: one JSON object {"name": …, "arguments": {…}}.'
ACT_SEVERAL = 'Now act: a JSON list of one or more objects {"name": …, "arguments": {…}}; they run side by side.'
TURN = """Write one thought and one action, and nothing after them:
Thought: what to do next, in one or two sentences
Action: {"name": …, "arguments": {…}}"""


def system_prompt(mode: Mode, tools: Sequence[Tool], instructions: str = "") -> str:
    """The system message: the rules, the user's instructions, and the tools where the server does not show them."""
    parts = [NATIVE_RULES if mode == "native" else RULES, instructions.strip(), UNTRUSTED_RULE]
    if mode != "native":
        described = (
            json.dumps({"name": t.name, "description": t.description, "parameters": t.parameters}, ensure_ascii=False)
            for t in tools
        )
        parts.insert(1, "The tools, one JSON description a line:\n" + "\n".join(described))
    return "\n\n".join(part for part in parts if part)


def invitation(mode: Mode, thinking: bool, several: bool) -> str:
    """What ends a user's turn: an invitation to think, to act, or to do both; native calls need none."""
    if mode == "native":
        return ""
    if mode == "text":
        return TURN
    return THINK if thinking else act(several)


def act(several: bool) -> str:
    """The invitation to act."""
    return ACT_SEVERAL if several else ACT

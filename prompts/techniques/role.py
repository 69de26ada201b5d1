"""Who answers, for whom."""

from __future__ import annotations

from prompts.techniques.instruct import instruct
from prompts.template import Prompt


def role(prompt: Prompt, who: str, audience: str = "", tone: str = "") -> Prompt:
    """`prompt`, answered as `who` would: "an experienced nurse", "the editor of a small newspaper".

    Args:
        audience: who reads the answer.
        tone: how it sounds.
    """
    said = [
        f"You are {who}.",
        f"You write for {audience}." if audience else "",
        f"Your tone is {tone}." if tone else "",
    ]
    return instruct(prompt, " ".join(filter(None, said)), first=True)

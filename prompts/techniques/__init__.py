"""Functions from prompt to prompt. Each puts what it adds into the stable part, before anything that changes."""

from __future__ import annotations

from prompts.techniques.chain_of_thought import chain_of_thought
from prompts.techniques.few_shot import few_shot
from prompts.techniques.output_format import output_format
from prompts.techniques.role import role

__all__ = ["chain_of_thought", "few_shot", "output_format", "role"]

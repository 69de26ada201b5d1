"""What is said to the decoder: templates, techniques and voting. Knows nothing of where the text comes from."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prompts.asking import Reply, aask, ask
    from prompts.consistency import Consensus, aself_consistency, self_consistency
    from prompts.errors import (
        MalformedPrompt,
        MissingValue,
        OutputError,
        OutputMalformed,
        OutputTruncated,
        PromptError,
        PromptNotFound,
        RenderError,
        UnknownValue,
        WrongType,
    )
    from prompts.evaluate import Evaluation, Way
    from prompts.examples import balanced, diverse, nearest, random_examples
    from prompts.extract import Extractor, extractor
    from prompts.folders import library, load
    from prompts.items import Item, read_items
    from prompts.pairwise import Judgement, ajudge, judge
    from prompts.stopping import Stopping
    from prompts.techniques.chain_of_thought import chain_of_thought
    from prompts.techniques.few_shot import few_shot
    from prompts.techniques.output_format import output_format
    from prompts.techniques.role import role
    from prompts.template import Prompt
    from prompts.turns import Insert, Turn
    from prompts.untrusted import UNTRUSTED_RULE, mark_untrusted
    from prompts.variables import Example, Quoted, Variable

# Imported when first asked for.
_LAZY = {
    "asking": ("Reply", "aask", "ask"),
    "consistency": ("Consensus", "aself_consistency", "self_consistency"),
    "errors": (
        "MalformedPrompt", "MissingValue", "OutputError", "OutputMalformed", "OutputTruncated", "PromptError",
        "PromptNotFound", "RenderError", "UnknownValue", "WrongType",
    ),
    "evaluate": ("Evaluation", "Way"),
    "examples": ("balanced", "diverse", "nearest", "random_examples"),
    "extract": ("Extractor", "extractor"),
    "folders": ("library", "load"),
    "items": ("Item", "read_items"),
    "pairwise": ("Judgement", "ajudge", "judge"),
    "stopping": ("Stopping",),
    "techniques": ("chain_of_thought", "few_shot", "output_format", "role"),
    "template": ("Prompt",),
    "turns": ("Insert", "Turn"),
    "untrusted": ("UNTRUSTED_RULE", "mark_untrusted"),
    "variables": ("Example", "Quoted", "Variable"),
}  # fmt: skip
_HOMES = {name: f"prompts.{module}" for module, names in _LAZY.items() for name in names}

__all__ = [
    "UNTRUSTED_RULE",
    "Consensus",
    "Evaluation",
    "Example",
    "Extractor",
    "Insert",
    "Item",
    "Judgement",
    "MalformedPrompt",
    "MissingValue",
    "OutputError",
    "OutputMalformed",
    "OutputTruncated",
    "Prompt",
    "PromptError",
    "PromptNotFound",
    "Quoted",
    "RenderError",
    "Reply",
    "Stopping",
    "Turn",
    "UnknownValue",
    "Variable",
    "Way",
    "WrongType",
    "aask",
    "ajudge",
    "aself_consistency",
    "ask",
    "balanced",
    "chain_of_thought",
    "diverse",
    "extractor",
    "few_shot",
    "judge",
    "library",
    "load",
    "mark_untrusted",
    "nearest",
    "output_format",
    "random_examples",
    "read_items",
    "role",
    "self_consistency",
]


def __getattr__(name: str) -> Any:
    """The room's names, on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'prompts' has no attribute {name!r}")

"""What the stage `constitution` will do: it asks a decoder, and trains nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignment.dry_run_report import DryRun

if TYPE_CHECKING:
    from alignment.sections import Recipe


def plan(recipe: Recipe, output: str) -> DryRun:
    """Prompts, and how often the decoder is asked. Raises DataError."""
    from pathlib import Path

    from alignment.constitution_stage import PAIRINGS
    from alignment.data import load_data

    section = recipe.constitution
    data = load_data(recipe.data, recipe.stage)
    prompts = len(data.train)
    pairings = PAIRINGS[section.pair_with] if section.pairs else ()
    asked = prompts * (1 + 2 * section.rounds + ("samples" in pairings))
    judged = 2 * prompts * len(pairings)
    lines = [
        f"for each of {prompts:,} prompts: an answer, then {section.rounds} x (critique, revision) by a principle",
        f"{asked:,} texts of at most {section.max_tokens} tokens, {section.concurrency} at once",
        *([f"{judged:,} judgements, each pair in both orders, for a set of preferences"] if judged else []),
        f"principles: {section.principles or 'the default constitution'}",
        f"decoder: {section.embedded or section.base_url or 'the one of the settings'}",
        "nothing is trained: the sets that it writes are for sft and dpo",
    ]
    return DryRun(recipe.stage, recipe.name, output, Path(output).exists(), data.report, data.format, plan=tuple(lines))

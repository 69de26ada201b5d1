"""The stages by name: the module that runs each, and the class whose fields `training:` may set."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from decoder.runs.recipe import check_choice

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class StageEntry:
    """A stage. Its module has `run(recipe, resume=False) -> RunFolder`."""

    module: str
    config: str
    summary: str


STAGES = {
    "pretrain": StageEntry("alignment.pretrain", "trl:SFTConfig", "train a decoder from nothing on plain text"),
    "sft": StageEntry("alignment.sft", "trl:SFTConfig", "teach by example: conversations, or prompts and answers"),
    "reward": StageEntry("alignment.reward", "trl:RewardConfig", "learn a score from pairs and rankings"),
    "ppo": StageEntry("alignment.ppo", "alignment.ppo_config:PPOConfig", "teach by reward, close to the reference"),
    "dpo": StageEntry("alignment.dpo", "trl:DPOConfig", "teach by preferences, without a reward model"),
    "kto": StageEntry("alignment.kto", "trl:KTOConfig", "teach by thumbs, up or down"),
    "grpo": StageEntry("alignment.grpo", "trl:GRPOConfig", "teach by reward relative to a group's mean"),
    "rloo": StageEntry("alignment.rloo", "trl:RLOOConfig", "teach by reward relative to the others of a group"),
    "constitution": StageEntry("alignment.constitution_stage", "", "critique and revise by principles; judge pairs"),
}


def train(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Run a recipe's stage in this process and return its folder.

    Raises:
        AlignmentError: the recipe, the data or the model cannot be used.
        TrainingError: the run did not end as it should; its last checkpoint is whole.
    """
    check_choice(recipe.stage, list(STAGES), "stage")
    module: Any = importlib.import_module(STAGES[recipe.stage].module)
    folder: RunFolder = module.run(recipe, resume=resume)
    return folder

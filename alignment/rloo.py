"""Teach by reward relative to the others of a group: REINFORCE leave-one-out (Ahmadian et al. 2024, equation 8),
through TRL's RLOOTrainer as it is. Rewards and generation as in `grpo.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignment.grpo import build_online, prompt_limit
from alignment.trainer_job import Job, TrainerStage
from alignment.trainer_run import run_trainer

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder


def run(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Run the stage. Raises what `run_trainer` raises."""
    return run_trainer(recipe, resume, STAGE)


def build(job: Job) -> Any:
    """The trainer."""
    return build_online(job, "trl:RLOOTrainer")


STAGE = TrainerStage("trl:RLOOConfig", build, lambda row_format: {}, prompt_limit, taught=False)

if __name__ == "__main__":
    from alignment.script import main

    main("rloo")

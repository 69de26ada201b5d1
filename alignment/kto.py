"""Teach by thumbs, up or down: Kahneman-Tversky optimization (Ethayarajh et al. 2024, equation 8), through TRL's
KTOTrainer as it is.

TRL estimates the KL term from each batch's completions against its other prompts, and so reads rows in their order;
they are shuffled once, by the recipe's seed, before it gets them.
"""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any

from alignment.dpo import check_dropout, reference
from alignment.errors import DataError
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
    from alignment.watched_trainer import watched

    check_dropout(job)
    if len(job.train) < 2:
        cause = "there is one row, and the KL term is estimated across the rows of a batch"
        raise DataError("reading the data", cause, "Give more")
    mixed = random.Random(job.recipe.seed).sample(job.train, len(job.train))  # noqa: S311  # an order, no secret
    return watched("trl:KTOTrainer", job.train)(
        args=job.args,
        processing_class=job.tokenizer,
        ref_model=reference(job),
        **job.trained_model(),
        **dataclasses.replace(job, train=mixed).datasets(),
    )


STAGE = TrainerStage("trl:KTOConfig", build, lambda row_format: {}, lambda recipe, args: args.max_length)

if __name__ == "__main__":
    from alignment.script import main

    main("kto")

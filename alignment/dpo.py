"""Teach by preferences without a reward model: direct preference optimization (Rafailov et al. 2023, equation 7),
through TRL's DPOTrainer as it is.

The reference is the model without the adapter where a new one is trained, the adapter as it was where one is gone on
from, and a frozen copy of the model where all weights are trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignment.trainer_job import Job, TrainerStage, refuse_dropout
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
    return watched("trl:DPOTrainer", job.train)(
        args=job.args,
        processing_class=job.tokenizer,
        ref_model=reference(job),
        **job.trained_model(),
        **job.datasets(),
    )


def check_dropout(job: Job) -> None:
    """Refuse dropout that is turned off, as the configurations of DPO and KTO do. Raises RecipeError."""
    if job.args.disable_dropout:
        refuse_dropout(job.recipe, "Leave it out, or set training.disable_dropout=false")


def reference(job: Job) -> Any:
    """A frozen copy of the model where all weights are trained and the reference is asked at every step, else None.

    TRL would load one too, but from the hub's newest revision in place of the recipe's.
    """
    from alignment.models import load_decoder

    return load_decoder(job.recipe.model) if job.full and not job.args.precompute_ref_log_probs else None


STAGE = TrainerStage("trl:DPOConfig", build, lambda row_format: {}, lambda recipe, args: args.max_length)

if __name__ == "__main__":
    from alignment.script import main

    main("dpo")

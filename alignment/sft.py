"""Teach by example: conversations, or prompts with their completions, through TRL's SFTTrainer as it is.

Of conversations only what the assistant says is trained (`assistant_only_loss`), of prompts and completions only the
completion; `training:` may say otherwise. With a `lora` section an adapter is trained, on a 4-bit base where
`model.quantization` says so (QLoRA, Dettmers et al. 2023); without one all weights are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    return watched("trl:SFTTrainer", job.train)(
        args=job.args, processing_class=job.tokenizer, **job.trained_model(), **job.datasets()
    )


def house(row_format: str) -> dict[str, Any]:
    """The assistant's words alone, in conversations."""
    return {"assistant_only_loss": row_format == "messages"}


STAGE = TrainerStage("trl:SFTConfig", build, house, lambda recipe, args: args.max_length)

if __name__ == "__main__":
    from alignment.script import main

    main("sft")

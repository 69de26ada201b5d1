"""Learn a score from what people prefer: a decoder with one number at its end, from pairs and from K-way rankings.

The trainer is TRL's RewardTrainer with InstructGPT's loss over rankings; a pair is a ranking of two, and has TRL's own
loss. Beside the weights, `model/` gets reward_config.json (the scores' mean and deviation, for PPO), and the run's
folder gets reward_eval.json (what the scores are worth on held-out rows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignment.trainer_job import Job, TrainerStage
from alignment.trainer_run import run_trainer

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder

CENTRED_ON = 256
"""Prompts of the training set whose responses give the scores' mean and deviation."""


def run(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Run the stage. Raises what `run_trainer` raises."""
    return run_trainer(recipe, resume, stage_of(recipe))


def stage_of(recipe: Recipe) -> TrainerStage:
    """What is this stage's own.

    TRL turns all dropout off by default, the adapter's too: not where a recipe asks for it.
    """
    dropout = recipe.lora is not None and recipe.lora.dropout > 0
    # An evaluation's scores are not gathered: their number differs from batch to batch.
    house = {"prediction_loss_only": True, "disable_dropout": not dropout}
    return TrainerStage(
        "trl:RewardConfig",
        build,
        house=lambda row_format: house,
        limit=lambda recipe, args: args.max_length,
        taught=False,
        generates=False,
        finish=finish,
    )


def build(job: Job) -> Any:
    """The trainer."""
    from alignment.reward_model import new_reward_model
    from alignment.watched_trainer import watched

    recipe = job.recipe
    return watched("alignment.reward_trainer:RankingTrainer", job.train)(
        model=new_reward_model(recipe.model, recipe.lora, recipe.seed),
        args=job.args,
        processing_class=job.tokenizer,
        **job.datasets(),
    )


def finish(trainer: Any, job: Job) -> dict[str, Any]:
    """Score what was held out (the training rows, where nothing was), and note it.

    Every process scores all rows: weights that are shared among processes answer only when all of them ask.
    """
    from functools import partial

    from alignment.reward_report import evaluation, final_metrics, moments, score_rows, write_evaluation
    from alignment.scoring import RewardConfigFile, scores_of, vocabulary_hash

    network = (trainer.model_wrapped if trainer.args.world_size > 1 else trainer.model).eval()
    scorer = partial(scores_of, network, pad_token_id=job.tokenizer.pad_token_id)
    known = job.train[:CENTRED_ON]
    of_training = score_rows(job.tokenizer, known, scorer)
    held_out = score_rows(job.tokenizer, job.eval, scorer) if job.eval else of_training
    found = evaluation(*held_out, "eval" if job.eval else "train")
    if trainer.is_world_process_zero():
        RewardConfigFile(
            *moments([score for row in of_training[1] for score in row.scores]),
            max_length=job.args.max_length,
            vocabulary_sha256=vocabulary_hash(job.tokenizer),
            conversational=not isinstance(known[0].get("prompt", ""), str),
        ).write(job.folder.model)
        write_evaluation(job.folder, found)
    return {"kind": "reward", "metrics": final_metrics(found)}


if __name__ == "__main__":
    from alignment.script import main

    main("reward")

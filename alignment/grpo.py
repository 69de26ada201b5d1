"""Teach by reward relative to a group's mean: group relative policy optimization (Shao et al. 2024, section 4.1),
through TRL's GRPOTrainer as it is.

The reward is a reward model, a Python function or both (`reward:`). Completions are written in process, or by a vLLM
server through TRL's own keys (`training.use_vllm`, `vllm_mode`, …).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignment.errors import DataError, ModelError
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
    return build_online(job, "trl:GRPOTrainer")


def build_online(job: Job, trainer: str) -> Any:
    """A trainer, "module:class", that writes completions and has them scored."""
    from alignment.models import loading_arguments, resolve
    from alignment.reward_sources import gold_function, reward_functions
    from alignment.watched_trainer import watched

    check_groups(job.args, len(job.train))
    if job.full and job.args.beta:
        known = loading_arguments(job.recipe.model, resolve(job.recipe.model.path))
        # For the reference, which TRL loads by itself: of the same revision, and safetensors too.
        job.args.model_init_kwargs = {key: known[key] for key in ("revision", "use_safetensors", "local_files_only")}
    rewards = reward_functions(job.recipe, job.tokenizer)
    if gold := gold_function(job.recipe, job.tokenizer):  # logged as rewards/gold/mean, and counts nothing
        job.args.reward_weights = [*(job.args.reward_weights or [1.0] * len(rewards)), 0.0]
        rewards.append(gold)
    return watched(trainer, job.train)(
        args=job.args,
        processing_class=job.tokenizer,
        reward_funcs=rewards,
        **job.trained_model(),
        **job.datasets(),
    )


def check_groups(args: Any, rows: int) -> None:
    """Refuse fewer rows than a batch has prompts: TRL takes whole batches alone, and would train on nothing.

    Raises DataError.
    """
    prompts = args.generation_batch_size // args.num_generations
    if rows < prompts:
        cause = f"there are {rows} prompts, and a batch takes {prompts}"
        remedy = "Give more, lower per_device_train_batch_size or steps_per_generation, or raise num_generations"
        raise DataError("reading the data", cause, remedy)


def prompt_limit(recipe: Recipe, args: Any) -> int | None:
    """Tokens of a prompt that leave room for the completion; TRL itself cuts nothing, and the model would go wrong.

    None for a model that reads texts of any length. Raises ModelError when there is no room.
    """
    from transformers import AutoConfig

    from alignment.models import resolve

    config = AutoConfig.from_pretrained(
        resolve(recipe.model.path), revision=recipe.model.revision or None, trust_remote_code=False
    )
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if not positions:
        return None
    completion = args.max_completion_length or 0
    if positions <= completion:
        cause = f"training.max_completion_length is {completion}, and the model reads {positions} tokens in all"
        raise ModelError("loading the data", cause, "Lower it, so that there is room for a prompt")
    return int(positions - completion)


STAGE = TrainerStage("trl:GRPOConfig", build, lambda row_format: {}, prompt_limit, taught=False)

if __name__ == "__main__":
    from alignment.script import main

    main("grpo")

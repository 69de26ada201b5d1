"""Stage `ppo`: teach by reward, close to the reference (Schulman et al. 2017; Ziegler et al. 2019).

    hearth align ppo --config ppo-small        python -m alignment.ppo --config recipe.yaml

The loop is in ppo_trainer.py; what it computes, in ppo_losses.py, ppo_experience.py and ppo_update.py.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.models import load_tokenizer, require_training, resolve, weights_hash
from alignment.run_folder import check_run
from alignment.training_arguments import training_arguments
from decoder.runs.folder import RunFolder

if TYPE_CHECKING:
    from alignment.data import Data
    from alignment.ppo_config import PPOConfig
    from alignment.ppo_trainer import PPOTrainer
    from alignment.sections import Recipe

CONFIG = "alignment.ppo_config:PPOConfig"


def run(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Train a policy as the recipe says; its folder's `model` holds the adapter or the weights.

    Raises:
        AlignmentError: recipe, data, model or reward cannot be used; nothing was written.
        TrainingError: the run diverged, was stopped, or could not write; its last checkpoint is whole.
    """
    require_training()
    import torch
    from accelerate import PartialState  # type: ignore[import-untyped]

    from alignment.trainer_run import check_rows, ended, opened

    folder = check_run(recipe, resume)
    PartialState(cpu=not torch.cuda.is_available())
    if ended(folder, recipe):
        return folder
    trainer, data = _prepare(recipe, folder)
    check_rows(folder, data.report)
    with opened(recipe, resume, folder, data.report):
        _train(recipe, trainer, data, resume)
    return folder


def limit(recipe: Recipe, config: PPOConfig) -> int | None:
    """Tokens of a prompt at most, as the recipe says, but leaving room for the completion. Raises ModelError."""
    from alignment.grpo import prompt_limit

    limits = (config.max_prompt_length, prompt_limit(recipe, config))
    return min((each for each in limits if each is not None), default=None)


def _prepare(recipe: Recipe, folder: RunFolder) -> tuple[PPOTrainer, Data]:
    """Everything that can be refused; nothing is written."""
    from transformers import set_seed

    from alignment.data import load_data
    from alignment.ppo_models import load_models
    from alignment.ppo_trainer import PPOTrainer
    from alignment.reward_sources import gold_function, reward_functions
    from alignment.trainer_job import fitting, refuse_dropout

    refuse_dropout(recipe, "Leave it out")  # with it, no ratio would be 1 at first
    config: PPOConfig = training_arguments(recipe, folder, CONFIG)  # a misspelt key is told of before rows are read
    tokenizer = load_tokenizer(recipe.model)
    data = load_data(recipe.data, recipe.stage)
    data = fitting(data, tokenizer, limit(recipe, config), bool(recipe.data.eval))
    config = training_arguments(recipe, folder, CONFIG, **_defaults(config, data))
    rewards, gold = reward_functions(recipe, tokenizer), gold_function(recipe, tokenizer)
    set_seed(config.seed)
    models = load_models(recipe, config)
    return PPOTrainer(models, tokenizer, data.train, rewards, config, folder, gold, data.eval), data


def _defaults(config: PPOConfig, data: Data) -> dict[str, Any]:
    """Those of every stage: two checkpoints kept, an evaluation an epoch where there are rows for it."""
    kept: dict[str, Any] = {"save_total_limit": 2}
    if not data.eval:
        return kept
    epoch = len(data.train) // (config.episodes * config.world_size)
    return {**kept, "eval_strategy": "steps", "eval_steps": max(1, epoch)}


def _train(recipe: Recipe, trainer: PPOTrainer, data: Data, resume: bool) -> None:
    """Train, save, and note what the registry wants to know."""
    from decoder.runs.stop_signal import stop_on_signal

    with stop_on_signal() as asked:
        figures = trainer.train(resume, asked)
    trainer.save_model()
    adapter = recipe.lora is not None or bool(recipe.model.adapter)
    base = resolve(recipe.model.path)
    if trainer.accelerator.is_main_process:
        trainer.folder.note(
            status="finished",
            error="",
            finished=time.time(),
            steps=trainer.done,
            metrics=figures,
            data=data.report.plain(),
            base=base,
            base_sha256=weights_hash(Path(base)) if Path(base).is_dir() else "",
            kind="adapter" if adapter else "model",
        )


if __name__ == "__main__":
    from alignment.script import main

    raise SystemExit(main("ppo"))

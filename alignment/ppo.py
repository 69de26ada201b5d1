"""Stage `ppo`: teach by reward, close to the reference (Schulman et al. 2017; Ziegler et al. 2019).

    hearth align ppo --config ppo-small        python -m alignment.ppo --config recipe.yaml

The loop is in ppo_trainer.py; what it computes, in ppo_losses.py, ppo_experience.py and ppo_update.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from alignment.errors import Stopped
from alignment.models import load_tokenizer, require_training, resolve, weights_hash
from alignment.run_folder import RunFolder, open_run
from alignment.training_arguments import training_arguments

if TYPE_CHECKING:
    from alignment.ppo_config import PPOConfig
    from alignment.sections import Recipe

CONFIG = "alignment.ppo_config:PPOConfig"


def run(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Train a policy as the recipe says; its folder's `model` holds the adapter or the weights.

    Raises:
        AlignmentError: recipe, data, model or reward cannot be used.
        TrainingError: the run diverged, was stopped, or could not write; its last checkpoint is whole.
    """
    require_training()
    import torch
    from accelerate import PartialState  # type: ignore[import-untyped]

    processes = PartialState(cpu=not torch.cuda.is_available())
    with processes.main_process_first():
        main = processes.is_main_process
        # A second process would take the folder that the first has just made for another run's.
        folder = open_run(recipe, resume or not main)
    try:
        noted = _run(recipe, folder, resume)
    except Stopped:
        _note(folder, main, status="stopped", finished=time.time())
        raise
    except BaseException as error:
        _note(folder, main, status="failed", finished=time.time(), error=f"{type(error).__name__}: {error}")
        raise
    _note(folder, main, status="finished", finished=time.time(), **noted)
    return folder


def _run(recipe: Recipe, folder: RunFolder, resume: bool) -> dict[str, Any]:
    """Train, write the result, and return what is to be noted."""
    from transformers import set_seed

    from alignment.callbacks import stop_on_signal
    from alignment.data import load_data
    from alignment.ppo_models import load_models
    from alignment.ppo_trainer import PPOTrainer
    from alignment.reward_sources import gold_function, reward_functions

    config: PPOConfig = training_arguments(recipe, folder, CONFIG)
    tokenizer = load_tokenizer(recipe.model)
    data = load_data(recipe.data, recipe.stage)
    rows, dropped = _short_enough(data.train, tokenizer, config)
    rewards, gold = reward_functions(recipe, tokenizer), gold_function(recipe, tokenizer)
    set_seed(config.seed)
    models = load_models(recipe, config)
    trainer = PPOTrainer(models, tokenizer, rows, rewards, config, folder, gold, data.eval)
    with stop_on_signal() as asked:
        figures = trainer.train(resume, asked)
    trainer.save_model()
    base = resolve(recipe.model.path)
    adapter = recipe.lora is not None or bool(recipe.model.adapter)
    return {
        "metrics": figures,
        "data": data.report.plain() | {"too_long": dropped},
        "base": base if adapter else "",
        "base_sha256": _hash(base) if adapter else "",
        "kind": "adapter" if adapter else "model",
    }


def _short_enough(rows: list[dict[str, Any]], tokenizer: Any, config: PPOConfig) -> tuple[list[dict[str, Any]], Any]:
    """Rows whose prompts fit, and a list of those that do not."""
    from alignment.ppo_rollout import encode_prompt

    limit = config.max_prompt_length
    lengths = [len(encode_prompt(tokenizer, row)) for row in rows] if limit else []
    long = [{"index": at, "tokens": found} for at, found in enumerate(lengths) if limit and found > limit]
    out = {entry["index"] for entry in long}
    return [row for at, row in enumerate(rows) if at not in out], long


def _hash(base: str) -> str:
    from pathlib import Path

    return weights_hash(Path(base)) if Path(base).is_dir() else ""


def _note(folder: RunFolder, main: bool, **values: Any) -> None:
    if main:
        folder.note(**values)


if __name__ == "__main__":
    from alignment.script import main

    raise SystemExit(main("ppo"))

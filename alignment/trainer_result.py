"""What a trainer leaves behind: the result as it is served, and all that the registry wants to know of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.models import resolve, weights_hash
from alignment.sampling_prompts import inference_tokenizer
from decoder.runs.checkpoints import failed, is_disk

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from alignment.trainer_job import Job
    from decoder.runs.folder import RunFolder


def save_result(trainer: Any, job: Job) -> None:
    """Leave adapter or weights, and the tokenizer as inference needs it, in `folder.model`. Raises CheckpointFailed."""
    aside = job.folder.path / ".model"
    try:
        trainer.save_model(str(aside), _internal_call=True)
        if trainer.args.should_save:
            (aside / "training_args.bin").unlink(missing_ok=True)  # a pickle
            (aside / "README.md").unlink(missing_ok=True)
            shutil.rmtree(aside / "ref", ignore_errors=True)  # TRL's frozen copy of the adapter that was gone on from
            inference_tokenizer(job.original, job.tokenizer, job.train).save_pretrained(str(aside))
            shutil.rmtree(job.folder.model, ignore_errors=True)
            aside.replace(job.folder.model)
    except Exception as error:
        if not is_disk(error):
            raise
        shutil.rmtree(aside, ignore_errors=True)
        raise failed(int(trainer.state.global_step), job.folder.path, error) from error
    trainer.accelerator.wait_for_everyone()


def after(folder: RunFolder, recipe: Recipe) -> None:
    """The report, and the registry where the recipe wants it; run.json then names the artefact."""
    from alignment.registry import register
    from alignment.report import write_report

    write_report(folder)
    if recipe.register:
        folder.note(artefact=register(folder).id)


def made_up_for(folder: RunFolder, recipe: Recipe) -> None:
    """What a finished run lacks because its end was broken off: its report, its place in the registry."""
    if not (folder.path / "report.html").exists() or (recipe.register and not folder.state.get("artefact")):
        after(folder, recipe)


def evaluated(trainer: Any, job: Job) -> dict[str, float]:
    """The evaluation's figures of the step whose weights are the result: the last, or with `load_best_model_at_end` the
    best. Where there was no evaluation, one is made.
    """
    if not job.eval:
        return {}
    best = trainer.state.best_global_step if trainer.args.load_best_model_at_end else None
    for line in reversed(trainer.state.log_history):
        if line.get("step") == (best or trainer.state.global_step) and "eval_loss" in line:
            return {key: value for key, value in line.items() if key.startswith("eval_")}
    found: dict[str, float] = trainer.evaluate()
    return found


def about(job: Job) -> dict[str, Any]:
    """What the registry wants to know of the result."""
    base = resolve(job.recipe.model.path) if job.recipe.model.path else ""
    return {
        "data": job.report.plain(),
        "base": base,
        "base_sha256": weights_hash(Path(base)) if base and Path(base).is_dir() else "",
        "kind": "model" if job.full else "adapter",
    }

"""What a run leaves when it has ended: the model with its averaged or best weights, figures, a last sample grid."""

from __future__ import annotations

import shutil
import time
from typing import Any

from torch import nn

from decoder.runs.checkpoints import failed
from decoder.runs.folder import RunFolder
from generators.trainer_checkpoint import FAULTS
from generators.trainer_loop import Trainer


def leave_result(trainer: Trainer) -> None:
    """Evaluate once more, save the model, draw the last grid, and note that the run has finished.

    With best weights these are what is saved; the checkpoints go, since nothing goes on from a run that has finished.

    Raises:
        CheckpointFailed: the disk refused; the last checkpoint is whole, and the run can be resumed.
    """
    watching, folder = trainer.watching, trainer.folder
    last = trainer.section.evaluate_every and trainer.step % trainer.section.evaluate_every == 0
    if not last:
        trainer.evaluate(trainer.losses)
    step, figures = trainer.step, watching.found
    if watching.best.weights:
        step, figures = watching.best.step, watching.best.figures
        trainer.model.load_state_dict(watching.best.weights)
        trainer.averages.drop()
    with watching.looking():
        _save(trainer, folder)
    grid = watching.draw(trainer.step)
    noted: dict[str, Any] = {"steps": trainer.step, "seconds": trainer.spent, "finished": time.time()}
    status = "alarm" if trainer.ended == "alarm" else "finished"
    folder.note(status=status, error="", ended=trainer.ended, result_step=step, metrics=figures, **noted)
    folder.note(alarms=watching.rung, grid=str(grid.relative_to(folder.path)))
    for checkpoint in folder.checkpoints():
        shutil.rmtree(checkpoint, ignore_errors=True)


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Parameters of each part, and of the whole, tied ones once."""
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    return {**parts, "all": sum(p.numel() for p in model.parameters())}


def _save(trainer: Trainer, folder: RunFolder) -> None:
    aside = folder.path / ".model"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        trainer.model.save(aside)
        shutil.rmtree(folder.model, ignore_errors=True)
        aside.replace(folder.model)
    except FAULTS as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise failed(trainer.step, folder.path, error) from error

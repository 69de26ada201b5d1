"""A trainer of TRL's that is watched: checkpoints are whole or not there, and a loss that is no number ends the run
before the weights take it in.

Only what stands around a step is changed, never the step: weights are bit for bit those of the trainer alone.
"""

from __future__ import annotations

import importlib
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment.batch_rows import rows_of
from decoder.errors import Diverged
from decoder.runs.checkpoints import PARTIAL, failed, is_disk, publish, readable

SHOWN = 8
"""Rows that an error names."""


class Watched:
    """Put before a class of transformers' or TRL's trainers; see `watched`."""

    watched_rows: Sequence[Mapping[str, Any]] = ()
    """The rows that the trainer was given, to name those of a bad batch."""
    _aside = False
    _batches: Sequence[Any] = ()
    """Those of the step under way."""

    def _send_telemetry(self) -> None:
        """TRL would tell its makers about each run; Hearth tells nobody."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """A run's folder has its own report in place of TRL's README.md."""

    def _get_output_dir(self, trial: Any) -> str:
        place: str = super()._get_output_dir(trial)  # type: ignore[misc]
        return str(Path(place) / PARTIAL) if self._aside else place

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        this: Any = self
        run = Path(this.args.output_dir)
        aside = run / PARTIAL / f"checkpoint-{this.state.global_step}"
        try:
            self._aside = True
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            this.accelerator.wait_for_everyone()
            if this.args.should_save:
                self._publish(aside, run)
        except Exception as error:
            if not is_disk(error):
                raise
            shutil.rmtree(run / PARTIAL, ignore_errors=True)
            raise failed(this.state.global_step, run, error) from error
        finally:
            self._aside = False
        this.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self, resume_from_checkpoint: Any, *args: Any, **kwargs: Any) -> None:
        with readable(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, *args, **kwargs)  # type: ignore[misc]

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        with readable(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]

    def _load_rng_state(self, checkpoint: Any) -> None:
        with readable(checkpoint):
            super()._load_rng_state(checkpoint)  # type: ignore[misc]

    def _publish(self, aside: Path, run: Path) -> None:
        """Rename the checkpoint into place, then let older ones go as `save_total_limit` says."""
        from transformers.trainer_utils import rotate_checkpoints

        this: Any = self
        best = run / f"checkpoint-{this.state.best_global_step}"
        if best.name == aside.name or best.is_dir():
            this.state.best_model_checkpoint = str(best)
            this.state.save_to_json(str(aside / "trainer_state.json"))
        publish(aside, run / aside.name)
        shutil.rmtree(run / PARTIAL, ignore_errors=True)
        rotate_checkpoints(
            output_dir=str(run),
            save_total_limit=this.args.save_total_limit,
            best_model_checkpoint=this.state.best_model_checkpoint,
        )

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The trainer's own step. Raises Diverged before the optimizer's."""
        this: Any = self
        self._batches = [*self._batches, inputs][-this.args.gradient_accumulation_steps :]
        try:
            loss = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        except RuntimeError as error:
            if "probability tensor" not in str(error):
                raise
            raise self._diverged("there was no distribution to draw from", [inputs]) from error
        if not math.isfinite(float(loss)):
            raise self._diverged(f"the loss is {float(loss)}", [inputs])
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        this: Any = self
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]
        # Half precision skips such a step by itself and lowers its scale.
        if norm is not None and this.accelerator.scaler is None and not math.isfinite(float(norm)):
            raise self._diverged(f"the gradient's norm is {float(norm)}", self._batches)
        return norm

    def _diverged(self, what: str, batches: Sequence[Any]) -> Diverged:
        this: Any = self
        try:
            found = rows_of(self, self.watched_rows, batches)
        except (KeyError, TypeError, ValueError, AttributeError):
            found = []  # a batch of another make; the step is known all the same
        shown = ", ".join(map(str, found[:SHOWN])) + (", …" if len(found) > SHOWN else "")
        where = f"rows {shown} of the training set" if found else "rows that cannot be told"
        cause = f"{what} at step {this.state.global_step + 1}; its batch held {where}"
        remedy = "Look at these rows, or lower training.learning_rate; the last checkpoint is from before this step"
        error = Diverged("training", cause, remedy)
        error.rows = tuple(found)
        return error


def watched(trainer: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """The class that `trainer` names as "module:class", watched; `rows` are those that it will be given to train on."""
    module, _, name = trainer.partition(":")
    plain = getattr(importlib.import_module(module), name)
    return type(name, (Watched, plain), {"watched_rows": rows, "__doc__": plain.__doc__})

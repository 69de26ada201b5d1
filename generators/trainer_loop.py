"""The loop that trains every family: phases in turn, each on batches of its own, until the budget is spent."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from decoder.errors import Diverged, Stopped
from decoder.runs.folder import RunFolder
from decoder.runs.tracking import Tracker
from generators.alarms import Watch
from generators.model import GenerativeModel, Phase
from generators.pictures import Batch, Split
from generators.sections import Recipe
from generators.trainer_accelerator import prepared, summed
from generators.trainer_average import Averages
from generators.trainer_checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from generators.trainer_figures import Meter
from generators.trainer_optimizers import Optimizers, clip, learning_rate_factor
from generators.trainer_order import Order
from generators.trainer_progress import Progress, Watcher, eta, share_done
from generators.trainer_watching import Watching

NAMED = 8
"""Pictures that a message names."""


class Trainer:
    """One run of one model. `run` trains; `restore` first, to go on from a checkpoint.

    Attributes:
        step: updates made.
        spent: CPU seconds of the first process (on a GPU, wall seconds) spent in them.
        losses: means since the last line, as they were after the last step.
        ended: why the run ended before its limits: "early" or "alarm"; empty otherwise.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: GenerativeModel,
        split: Split,
        folder: RunFolder,
        accelerator: Any,
        alarms: Watch | None = None,
        tracker: Tracker | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.recipe, self.section, self.folder = recipe, recipe.training, folder
        self.accelerator, self.model, self.split = accelerator, model, split
        self.wrapped = prepared(accelerator, model)
        self.optimizers = Optimizers(model, split.train, accelerator)
        self.averages = Averages(model, self.section.ema_decay)
        self.order = Order(
            split.train,
            self.section.batch_size,
            recipe.data.flip,
            recipe.seed,
            accelerator.process_index,
            accelerator.num_processes,
        )
        self.watching = Watching(recipe, model, self.averages, split, folder, alarms)
        self.meter, self.tracker, self.watcher = Meter(), tracker or Tracker(()), watcher
        self.step, self.spent, self.ended = 0, 0.0, ""
        self._clock = clock_of(accelerator.device)
        self.losses: dict[str, float] = {}
        self._alarm = ""

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        return share_done(self.step, self.section.max_steps, self.spent, self.section.budget_seconds)

    @property
    def over(self) -> bool:
        """A limit is reached, or the run ended early."""
        return bool(self.ended) or self.progress >= 1

    def run(self, asked: threading.Event) -> None:
        """Train until a limit is reached, an alarm ends the run or `asked` is set.

        Raises:
            Diverged: a loss is no number. CheckpointFailed: the disk refused.
            Stopped: it was asked to end, and a checkpoint is written.
        """
        began, began_at = time.monotonic(), self.progress
        saved = began
        self.model.train()
        while not self.over:
            self._step()
            due = time.monotonic() - saved >= self.section.checkpoint_seconds
            stop, due = self._agree(asked.is_set(), due)
            self._look()
            self._tell(eta(time.monotonic() - began, began_at, self.progress))
            if self.over or stop or due:
                self.checkpoint()
                saved = time.monotonic()
            if stop and not self.over:
                raise Stopped(
                    "training", f"a signal ended it after step {self.step}; its checkpoint is whole", "Add --resume"
                )

    def checkpoint(self) -> None:
        """Write what `restore` goes on from; every process calls this.

        Raises:
            Diverged: a weight is no number. CheckpointFailed: it could not be written; earlier ones are whole.
        """
        for name, value in self.model.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise Diverged("training", f"{name} is no number after step {self.step}", _SMALLER)
        plain = {
            "step": self.step,
            "spent": self.spent,
            "ended": self.ended,
            "meter": self.meter.state(),
            "losses": self.losses,
        }
        training = {
            "optimizers": self.optimizers.state(),
            "averages": self.averages.state(),
            "order": self.order.state(),
            "watching": self.watching.state(),
        }
        saved = Checkpoint(plain, training, self.watching.best.weights)
        save_checkpoint(self.folder, self.step, self.model, saved, self.accelerator)

    def restore(self, place: Any) -> None:
        """Go on from a checkpoint's folder. Raises TrainingError when it is damaged."""
        found = load_checkpoint(place, self.model, self.accelerator)
        self.step, self.spent = int(found.plain["step"]), float(found.plain["spent"])
        self.ended = str(found.plain["ended"])
        self.meter.restore(found.plain["meter"])
        self.losses = dict(found.plain["losses"])
        self.optimizers.restore(found.training["optimizers"])
        self.averages.restore(found.training["averages"])
        self.order.restore(found.training["order"])
        self.watching.restore(found.training["watching"], found.best)

    def _step(self) -> None:
        """Each phase's updates, and the average after them."""
        progress, begun = self.progress, self._clock()
        updated: list[nn.Parameter] = []
        for phase in self.model.phases(progress):
            for _ in range(phase.repeats):
                self._update(phase, progress)
            updated += self.optimizers.parameters(phase)
        self.optimizers.release()
        self.averages.step(updated)
        self.step += 1
        self.spent += self._clock() - begun

    def _update(self, phase: Phase, progress: float) -> None:
        """One update of one phase, on as many micro-batches as the recipe accumulates."""
        optimizer = self.optimizers.begin(phase)
        rate = phase.learning_rate * learning_rate_factor(self.section, self.step, progress)
        for group in optimizer.param_groups:
            group["lr"] = rate
        for _ in range(self.section.gradient_accumulation):
            batch, index = self.order.take()
            with self.accelerator.accumulate(self.wrapped):
                losses = self.wrapped(phase.name, on_device(batch, self.accelerator.device))
                self._check(phase, losses["loss"], index)
                self.accelerator.backward(losses["loss"])
                if self.accelerator.sync_gradients and self.section.max_grad_norm:
                    norm = clip(
                        self.accelerator, optimizer, self.optimizers.parameters(phase), self.section.max_grad_norm
                    )
                    self.meter.add(phase.name, {"grad_norm": norm})
                optimizer.step()
                optimizer.zero_grad()
            self.meter.add(phase.name, losses)
        self.meter.add(phase.name, {"learning_rate": rate})

    def _check(self, phase: Phase, loss: Tensor, index: Tensor) -> None:
        """Refuse to descend on a loss that is no number. Raises Diverged."""
        value = float(loss.detach())
        if math.isfinite(value):
            return
        rows, names = tuple(index.tolist()), self.split.train.names
        shown = ", ".join(names[i] if names else str(i) for i in rows[:NAMED]) + (", …" if len(rows) > NAMED else "")
        cause = f"the loss of {phase.name} is {value} at step {self.step + 1} (pictures {shown})"
        error = Diverged("training", cause, _SMALLER)
        error.rows = rows
        raise error

    def _agree(self, asked: bool, due: bool) -> tuple[bool, bool]:
        """Whether to stop and whether to write a checkpoint; one answer and one clock in all processes."""
        main = self.accelerator.is_main_process
        spent, stop, write = summed(self.accelerator, self.spent if main else 0.0, float(asked), float(due and main))
        self.spent = spent
        return bool(stop), bool(write)

    def _look(self) -> None:
        """Evaluate, draw and log where it is due."""
        losses = self.losses = self.meter.means()
        main = self.accelerator.is_main_process
        if main and self.meter.due(self.progress):
            self._log({"progress": self.progress, "seconds": self.spent, **losses})
        if self.meter.due(self.progress):
            self.meter.clear(self.progress)
        if _every(self.section.evaluate_every, self.step):
            if main:
                self.evaluate(losses)
            (code,) = summed(self.accelerator, float({"": 0, "early": 1, "alarm": 2}[self.ended]) if main else 0.0)
            self.ended = ("", "early", "alarm")[int(code)]
        if main and _every(self.section.sample_every, self.step):
            self.watching.draw(self.step)

    def evaluate(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Evaluate, log what was found and see whether it ends the run."""
        before = len(self.watching.rung)
        figures = self.watching.evaluate(self.step, self.progress, losses)
        if figures:
            self._log({"progress": self.progress, "seconds": self.spent} | {f"eval_{k}": v for k, v in figures.items()})
        for alarm in self.watching.rung[before:]:
            self._alarm = alarm["text"]
            # Its figures are below one key, so that no report draws them as curves of a point each.
            self.folder.log(self.step, {"alarm": alarm["kind"], "text": alarm["text"], "figures": alarm["figures"]})
        if len(self.watching.rung) > before:
            self.folder.note(alarms=self.watching.rung)
            self.ended = "alarm" if self.recipe.alarms.stop else self.ended
        if self.watching.waited_long_enough:
            self.ended = self.ended or "early"
        return figures

    def _log(self, figures: dict[str, float]) -> None:
        self.folder.log(self.step, figures)
        self.tracker.log(self.step, figures)

    def _tell(self, eta_seconds: float | None) -> None:
        if self.watcher is None or not self.accelerator.is_main_process:
            return
        limits = self.section.max_steps, self.spent, self.section.budget_seconds
        told = Progress(self.step, *limits, self.progress, self.losses, eta_seconds, self.watching.grid, self._alarm)
        self.watcher(told)


_SMALLER = "Lower the learning rate, or clip gradients with training.max_grad_norm"


def clock_of(device: torch.device) -> Callable[[], float]:
    """Seconds that training is charged: of this process's CPU time; on another device of the wall, its work awaited."""
    if device.type == "cpu":
        return time.process_time

    def wall() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return wall


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch where the model is."""
    if device.type == "cpu":
        return batch
    labels = None if batch.labels is None else batch.labels.to(device)
    targets = None if batch.targets is None else batch.targets.to(device)
    return Batch(batch.images.to(device), labels, batch.captions, targets)


def _every(often: int, step: int) -> bool:
    return bool(often) and step % often == 0

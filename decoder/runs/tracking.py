"""`tracking:` of a recipe: the same figures also in TensorBoard, Weights & Biases or MLflow.

Stages on a trainer of TRL's leave it to transformers' own callbacks (`report_to`). Loops of our own open a `Tracker`,
which writes under the same names. Nothing asks for a login: without WANDB_API_KEY (or a WANDB_MODE of the user's own)
Weights & Biases keeps its records in files, which `wandb sync` sends later; MLflow does so without
MLFLOW_TRACKING_URI. Metrics.jsonl is written in any case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from decoder.errors import RecipeError
from decoder.runs.metric_series import is_figure
from decoder.runs.recipe import check_choice

if TYPE_CHECKING:
    from decoder.runs.folder import RunFolder

KNOWN = ("tensorboard", "wandb", "mlflow")
PROJECT = "hearth"
Log: TypeAlias = Callable[[int, Mapping[str, float]], None]


def check_tracking(names: Sequence[str]) -> None:
    """Refuse a tracker that is unknown or not installed. Raises RecipeError."""
    for name in names:
        check_choice(name, KNOWN, "tracking")
        if find_spec(name) is None:
            remedy = f"pip install {name}, or leave it out of tracking"
            raise RecipeError("opening the trackers", f"tracking names {name}, which is not installed", remedy)


def quiet_environment(names: Sequence[str]) -> None:
    """Let no tracker ask for a login or send where the user has not said so; what the user has set stays."""
    if "wandb" in names:
        os.environ.setdefault("WANDB_PROJECT", PROJECT)
        if not os.environ.get("WANDB_API_KEY"):
            os.environ.setdefault("WANDB_MODE", "offline")
    if "mlflow" in names:
        os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", PROJECT)


def tracked_names(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Figures under the names that transformers' callbacks give them: eval_loss is eval/loss, all others train/…"""
    found = {}
    for name, value in metrics.items():
        if is_figure(value):
            told = f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"
            found[told] = float(value)
    return found


class Tracker:
    """Writes figures to every open tracker. Make one with `open_tracker`."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = tuple(logs)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Figures of a step, by the names of metrics.jsonl; what is no finite number is left out."""
        if self._logs and (figures := tracked_names(metrics)):
            for log in self._logs:
                log(step, figures)


@contextmanager
def open_tracker(names: Sequence[str], run: str, folder: RunFolder) -> Iterator[Tracker]:
    """The named trackers for the run called `run`, closed at the end.

    Raises RecipeError when one is unknown or not installed.
    """
    check_tracking(names)
    quiet_environment(names)
    makers = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
    with ExitStack() as opened:
        yield Tracker([opened.enter_context(makers[name](run, folder)) for name in names])


@contextmanager
def _tensorboard(run: str, folder: RunFolder) -> Iterator[Log]:
    """Event files under runs/ in the run's folder, where transformers puts its own."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder.path / "runs" / run)) as writer:

        def log(step: int, figures: Mapping[str, float]) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, step)

        yield log


@contextmanager
def _wandb(run: str, folder: RunFolder) -> Iterator[Log]:
    wandb: Any = import_module("wandb")
    opened = wandb.init(project=os.environ["WANDB_PROJECT"], name=run, dir=str(folder.path))
    try:
        yield lambda step, figures: opened.log(dict(figures), step=step)
    finally:
        opened.finish()


@contextmanager
def _mlflow(run: str, folder: RunFolder) -> Iterator[Log]:
    mlflow: Any = import_module("mlflow")
    mlflow.set_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])
    with mlflow.start_run(run_name=run):
        yield lambda step, figures: mlflow.log_metrics(dict(figures), step=step)

"""A judge: a small classifier of the training pictures, in whose features pictures are compared.

Inception's features (Heusel et al., 2017) are of photographs and need weights from elsewhere. A judge trained on the
data itself needs neither; figures in its features are comparable only where the same judge gave them, so each figure
stands beside its floor, real pictures against real ones, and is repeated with a second judge of another architecture.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from decoder.errors import CheckpointFailed, TrainingError
from generators.judge_training import RECIPES, TOTAL_VARIANCE, JudgeRecipe, new_network, train_network, turned
from generators.settings import generator_settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from generators.judge_networks import JudgeNetwork
    from generators.pictures import Pictures

Variant = Literal["first", "second"]
STEP = "training the judge"
WAIT_SECONDS = 1800.0
"""How long another process may train the same judge before waiting for it is given up."""
ROWS = 512
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Judge:
    """Made by `judge_for`.

    Attributes:
        name: says what the features are, for tables.
        network: from pictures to scores, in eval mode, on the CPU.
        by_labels: it tells classes; otherwise quarter turns.
        accuracy: share of its own training pictures that it gets right; for held-out ones see `accuracy_on`.
        extractor: gives the features in the network's place, where they are another network's.
    """

    name: str
    network: JudgeNetwork
    by_labels: bool
    accuracy: float = float("nan")
    extractor: nn.Module | None = None

    def features(self, images: Tensor) -> Tensor:
        """[n, d] features of pictures [n, c, h, w] in [-1, 1]; their total variance over the training set is 64."""
        if self.extractor is not None:
            return _in_rows(self.extractor, images)
        return _in_rows(self.network.trunk, images) * self.network.scale

    def probabilities(self, images: Tensor) -> Tensor:
        """[n, k] of the classes, or of the four quarter turns, for pictures [n, c, h, w] in [-1, 1]."""
        return _in_rows(self.network, images).softmax(1)

    def accuracy_on(self, pictures: Pictures) -> float:
        """Share of labels told right; of quarter turns, where that is what it tells. NaN for no pictures."""
        images, answers = pictures.floats(), pictures.labels
        if not self.by_labels or answers is None:
            images, answers = turned(images)
        return float((self.probabilities(images).argmax(1) == answers).float().mean())


def judge_for(train: Pictures, variant: Variant = "first") -> Judge:
    """The judge of these training pictures: trained once, seeded, then kept under `generator_settings().judges_folder`.

    Pictures of two classes or more get a classifier of the classes, others one of quarter turns.

    Raises:
        DataError: there are fewer than 2 pictures.
        TrainingError: another process trains this judge and does not end.
        CheckpointFailed: it cannot be kept.
    """
    recipe, by_labels = RECIPES[variant], _has_classes(train)
    key = _key(train, recipe)
    file = generator_settings().judges_folder / f"{variant}-{key[:32]}.safetensors"
    what = "classes" if by_labels else "quarter turns (RotNet)"
    name = f"{recipe.features} features of a {recipe.network} classifier of {what} trained on the data"
    judge = Judge(name, new_network(recipe, train, by_labels), by_labels)
    return _kept(file, judge) or _train_alone(file, judge, recipe, train)


def _train_alone(file: Path, judge: Judge, recipe: JudgeRecipe, train: Pictures) -> Judge:
    """Train it and keep it, or take what another process has just kept."""
    from decoder.file_lock import take

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.with_suffix(".lock").open("w")
    except OSError as error:
        cause = f"{file.parent}: {error.strerror or error}"
        raise CheckpointFailed(STEP, cause, "Set [generators] judges to a folder that can be written") from error
    with lock:
        if not take(lock, WAIT_SECONDS):
            cause = f"another process has been training {file.name} for {WAIT_SECONDS:g} s"
            raise TrainingError(STEP, cause, "Look for a process that hangs")
        if found := _kept(file, judge):
            return found
        judge = dataclasses.replace(judge, network=train_network(recipe, train, judge.by_labels))
        variance = judge.features(train.floats()).var(0).sum()
        judge.network.scale.copy_((TOTAL_VARIANCE / variance.clamp(min=1e-12)).sqrt())
        judge = dataclasses.replace(judge, accuracy=judge.accuracy_on(train))
        _keep(file, judge)
    return judge


def _keep(file: Path, judge: Judge) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    aside = file.with_suffix(".partial")
    about = {"accuracy": repr(judge.accuracy), "name": judge.name}
    try:
        save_file(judge.network.state_dict(), str(aside), about)
        aside.replace(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointFailed("keeping the judge", f"{file}: {error}", "Free some space") from error


def _kept(file: Path, judge: Judge) -> Judge | None:
    """`judge` with the weights in the file; None where there is none, or a damaged one, which is trained anew."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        return None
    try:
        with safe_open(str(file), "pt") as found:
            judge.network.load_state_dict({name: found.get_tensor(name) for name in found.keys()})  # noqa: SIM118
            accuracy = float(found.metadata()["accuracy"])
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError):
        return None
    return dataclasses.replace(judge, accuracy=accuracy)


def _has_classes(train: Pictures) -> bool:
    from generators.errors import DataError

    if len(train) < 2:
        raise DataError(STEP, f"{len(train)} picture(s) are too few", "Give it a folder of more pictures")
    return train.labels is not None and bool((train.labels != train.labels[0]).any())


def _key(train: Pictures, recipe: JudgeRecipe) -> str:
    """Of the pictures' bytes, their labels and the recipe, in hexadecimal."""
    about = [FORMAT, dataclasses.asdict(recipe), list(train.images.shape), train.classes]
    digest = hashlib.sha256(json.dumps(about).encode())
    digest.update(train.images.contiguous().numpy().tobytes())
    if train.labels is not None:
        digest.update(train.labels.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _in_rows(network: nn.Module, images: Tensor) -> Tensor:
    """The network's answers for all pictures, some hundred at a time, on the CPU."""
    import torch

    with torch.no_grad():
        return torch.cat([network(rows.detach().cpu().float()) for rows in torch.split(images, ROWS)])

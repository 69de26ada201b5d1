"""What a family is to the trainer, the metrics and the commands: losses by phase, samples, figures, a folder.

The trainer owns everything that families have in common (optimisers, averages, precision, checkpoints, budget); a
family owns its networks, its losses and its way to draw.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from decoder.errors import RecipeError
from generators.errors import ModelError
from generators.families import family_class, family_config
from generators.pictures import Batch, Pictures

if TYPE_CHECKING:
    from typing import Self

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class DataShape:
    """What a network must know of its pictures.

    Attributes:
        channels, size: of the pictures.
        class_names: of the labels; empty without labels.
        target_channels: of the second domain; 0 without one.
    """

    channels: int
    size: int
    class_names: tuple[str, ...] = ()
    target_channels: int = 0

    @property
    def classes(self) -> int:
        """How many classes there are; 0 without labels."""
        return len(self.class_names)

    @classmethod
    def of(cls, pictures: Pictures) -> DataShape:
        """The shape of these pictures."""
        targets = pictures.targets
        names = pictures.class_names if pictures.labels is not None else ()
        return cls(pictures.channels, pictures.size, names, int(targets.shape[1]) if targets is not None else 0)


@dataclass(frozen=True, slots=True)
class Phase:
    """One optimiser's part of a training step.

    Attributes:
        name: what `loss` is told.
        parts: names of the submodules whose parameters it updates.
        learning_rate, betas, weight_decay: of AdamW (with weight_decay 0: Adam).
        repeats: updates of this phase a step, each on a batch of its own (a critic's five, say).
    """

    name: str
    parts: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is asked of `sample`.

    Attributes:
        count: pictures.
        labels: [count] int64, or None: drawn evenly where the family needs them.
        captions: count texts, or none.
        images: [count, channels, size, size] in [-1, 1], to be translated.
    """

    count: int
    labels: Tensor | None = None
    captions: tuple[str, ...] = ()
    images: Tensor | None = None


class GenerativeModel(nn.Module):
    """The base of every family. A subclass sets the class attributes and implements `phases`, `loss` and `sample`.

    Attributes:
        family: its name in `FAMILIES`.
        Config: a frozen dataclass of its own settings, all with defaults: what a recipe's `model:` may set.
        averaged: names of the submodules whose exponential moving average is sampled from.
    """

    family: ClassVar[str] = ""
    Config: ClassVar[type] = object
    averaged: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any, shape: DataShape) -> None:
        super().__init__()
        self.config, self.shape = config, shape

    @property
    def hears(self) -> tuple[str, ...]:
        """Which of "labels" and "captions" `sample` draws by; by default neither. What it is deaf to is never asked."""
        return ()

    @classmethod
    def build(cls, config: Any, pictures: Pictures) -> Self:
        """A new model for these training pictures; weights are drawn from torch's global generator.

        Raises:
            RecipeError: the configuration does not fit the pictures (a size that cannot be halved so often, say).
            DataError: the family needs what the pictures lack (labels, captions, targets).
        """
        return cls(config, DataShape.of(pictures))

    def phases(self, progress: float) -> tuple[Phase, ...]:
        """The phases of a step, in order, at `progress` in [0, 1] of the run."""
        raise NotImplementedError

    def before(self, phase: str, pictures: Pictures) -> None:
        """Called once in a run, before the phase's first step; what it sets belongs into buffers, which are saved."""

    def loss(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """Scalars: "loss" to descend on, and figures to log (detached). Noise comes from torch's global generator."""
        raise NotImplementedError

    def forward(self, phase: str, batch: Batch) -> dict[str, Tensor]:
        """`loss`, by the name under which accelerate wraps it."""
        return self.loss(phase, batch)

    def sample(self, conditions: Conditions, generator: torch.Generator, **options: Any) -> Tensor:
        """Pictures [count, channels, size, size] in [-1, 1], without gradients; equal for equal states of
        the generator.

        The caller has put the model into eval mode. Unknown options raise RecipeError (`check_options`).
        """
        raise NotImplementedError

    def evaluate(self, pictures: Pictures, generator: torch.Generator) -> dict[str, float]:
        """Figures of this family alone on held-out pictures, without gradients: "bound" (lower is better) where it has
        one, "active_units" and the like. Nothing by default.
        """
        return {}

    def extra_config(self) -> dict[str, Any]:
        """What else `load` needs to make the network anew, as JSON: a vocabulary, say."""
        return {}

    @classmethod
    def restore(cls, config: Any, shape: DataShape, extra: Mapping[str, Any]) -> Self:
        """A model with untrained weights, as it was saved; weights are loaded after."""
        return cls(config, shape)

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors. Raises OSError."""
        from safetensors.torch import save_model

        folder.mkdir(parents=True, exist_ok=True)
        about = {"family": self.family, "config": dataclasses.asdict(self.config)}
        about |= {"shape": dataclasses.asdict(self.shape), "extra": self.extra_config()}
        (folder / CONFIG).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        save_model(self, str(folder / WEIGHTS))

    def load_weights(self, folder: Path) -> None:
        """The weights that `save` wrote. Raises OSError, RuntimeError or SafetensorError when they are not there."""
        from safetensors.torch import load_model as load_file

        load_file(self, str(folder / WEIGHTS))


def load_model(folder: str | Path) -> GenerativeModel:
    """A saved model in eval mode, on the CPU. Raises ModelError when the folder holds none, or a damaged one."""
    from safetensors import SafetensorError

    place = Path(folder)
    try:
        about = json.loads((place / CONFIG).read_text(encoding="utf-8"))
        shape = DataShape(**{**about["shape"], "class_names": tuple(about["shape"]["class_names"])})
        cls = family_class(about["family"])
        model = cls.restore(family_config(about["family"], about["config"]), shape, about["extra"])
        model.load_weights(place)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, RecipeError) as error:
        cause = (
            f"{place} holds no model that can be loaded: {str(error).splitlines()[0][:200] if str(error) else error!r}"
        )
        raise ModelError("loading the model", cause, "Name the `model` folder of a finished run") from error
    return model.eval()


def even_labels(count: int, classes: int) -> Tensor:
    """[count] labels that take turns, so that each class is drawn equally often."""
    return torch.arange(count) % max(classes, 1)


def check_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """Refuse a sampling option that is no number from `low` to `high`. Raises RecipeError."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise RecipeError("sampling", f"sampling.{name} is {value!r}", f"Give {kind} from {low:g} to {high:g}")


def check_options(options: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse a sampling option that the family does not have, naming the nearest. Raises RecipeError."""
    from decoder.runs.recipe import check_known

    for name in options:
        check_known(name, known, "sampling.")

"""How a judge is trained: two recipes, seeded, part of the code, so that a figure can be had again from the data alone.

With labels a judge tells classes. Without, it tells by which of four quarter turns a picture was turned, as in Gidaris,
Singh and Komodakis, Unsupervised representation learning by predicting image rotations (2018); what it had to learn for
that are the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from generators.judge_networks import JudgeNetwork
    from generators.pictures import Pictures

TURNS = 4
BATCH = 64
LABEL_WARP = (0.2, 0.15, 0.12)
"""Turn (radians), stretch and shift of the pictures that a judge of classes is trained on."""
TURN_WARP = (0.0, 0.1, 0.12)
TOTAL_VARIANCE = 64.0
"""Of the training pictures' features, to which they are scaled by one number. A network's features have no scale of
their own, and a Fréchet distance grows with its square: so it is about 64 for whatever is as far off as another class,
with every judge, on every data.
"""


@dataclass(frozen=True, slots=True)
class JudgeRecipe:
    """A judge, wholly described but for its pictures.

    Attributes:
        network: `convolutional` or `mixer`.
        width: channels of the first layer, or of a token.
        features: numbers that stand for a picture.
        steps: of AdamW on batches of 64, the rate rising to `learning_rate` and falling to 0 (one cycle).
        weight_decay, dropout: against learning by heart.
        seed: of weights, order and warps.
    """

    network: Literal["convolutional", "mixer"]
    width: int
    features: int
    steps: int
    learning_rate: float
    seed: int
    weight_decay: float = 0.02
    dropout: float = 0.2


RECIPES = {
    "first": JudgeRecipe("convolutional", width=16, features=64, steps=600, learning_rate=4e-3, seed=0),
    "second": JudgeRecipe("mixer", width=48, features=96, steps=600, learning_rate=3e-3, seed=1),
}


def train_network(recipe: JudgeRecipe, pictures: Pictures, by_labels: bool) -> JudgeNetwork:
    """A trained network in eval mode, on the CPU; torch's global generator stays as it was."""
    import torch
    from torch.nn.functional import cross_entropy

    generator = torch.Generator().manual_seed(recipe.seed)
    network = new_network(recipe, pictures, by_labels).train()
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # dropout
        for _ in range(recipe.steps):
            images, answers = _batch(pictures, by_labels, generator)
            optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(network(images), answers)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


def new_network(recipe: JudgeRecipe, pictures: Pictures, by_labels: bool) -> JudgeNetwork:
    """The recipe's network with its first weights, in eval mode."""
    import torch

    from generators.judge_networks import build

    classes = pictures.classes if by_labels else TURNS
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build(
            recipe.network, pictures.channels, pictures.size, classes, recipe.width, recipe.features, recipe.dropout
        )
    return network.eval()


def turned(images: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [n, c, s, s] in each of the four turns, [4n, c, s, s], and the turns' numbers [4n]."""
    import torch

    every = torch.cat([images.rot90(k, (2, 3)) for k in range(TURNS)])
    return every, torch.arange(TURNS).repeat_interleave(len(images))


def _batch(pictures: Pictures, by_labels: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    import torch

    from generators.judge_networks import warped

    index = torch.randint(len(pictures), (BATCH if by_labels else BATCH // TURNS,), generator=generator)
    batch = pictures.batch(index)
    if by_labels and batch.labels is not None:
        return warped(batch.images, *LABEL_WARP, generator), batch.labels
    images, answers = turned(batch.images)
    return warped(images, *TURN_WARP, generator), answers

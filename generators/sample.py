"""Pictures drawn from a trained model: sample("runs/ddpm-digits", 16, labels=[3] * 16, guidance_scale=2.0)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from decoder.runs.folder import RunFolder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from generators.model import Conditions, GenerativeModel

STEP = "sampling"
BATCH = 128
"""Pictures that are drawn at a time. Part of what a seed means: another number draws other pictures."""


def sample(
    model: GenerativeModel | RunFolder | str | Path,
    count: int,
    *,
    labels: Tensor | Sequence[int] | None = None,
    captions: str | Sequence[str] = (),
    images: Tensor | None = None,
    seed: int = 0,
    **options: Any,
) -> Tensor:
    """Draw `count` pictures, [count, channels, size, size] in [-1, 1] on the CPU; equal for equal arguments.

    Args:
        model: a model, a run's folder, or the folder of its `model`. One from a folder is put on the GPU, where there
            is one.
        labels: a class number for each picture. None: the classes take turns, where there are classes.
        captions: a text for each picture, or one for all.
        images: [count, channels, size, size] in [-1, 1], to be translated.
        options: of the family's `sample`, as in `steps=50, guidance_scale=2.0`.

    Raises:
        ModelError: the folder holds no model, or it is damaged.
        RecipeError: the family does not know an option.
        UsageError: labels, captions or images do not fit the count, or the model does not draw by them.
    """
    import torch

    loaded = open_model(model)
    device = next((p.device for p in loaded.parameters()), torch.device("cpu"))
    asked = _conditions(loaded, count, labels, captions, images)
    generator = torch.Generator().manual_seed(seed)
    with drawing(loaded):
        parts = [
            loaded.sample(_part(asked, slice(at, at + BATCH), device), generator, **options)
            for at in range(0, count, BATCH)
        ]
    return torch.cat([part.float().cpu() for part in parts]).clamp(-1, 1)


def open_model(model: GenerativeModel | RunFolder | str | Path) -> GenerativeModel:
    """The model itself; one from a folder is put on the GPU, where there is one. Raises ModelError."""
    import torch

    from generators.model import CONFIG, GenerativeModel, load_model

    if isinstance(model, GenerativeModel):
        return model
    place = model.path if isinstance(model, RunFolder) else Path(model).expanduser()
    loaded = load_model(place if (place / CONFIG).exists() else place / "model")
    return loaded.to("cuda") if torch.cuda.is_available() else loaded


@contextmanager
def drawing(model: GenerativeModel) -> Iterator[None]:
    """Eval mode and no gradients; each module is as it was afterwards."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _conditions(
    model: GenerativeModel,
    count: int,
    labels: Tensor | Sequence[int] | None,
    captions: str | Sequence[str],
    images: Tensor | None,
) -> Conditions:
    import torch

    from generators.model import Conditions, even_labels

    if count < 1:
        raise UsageError(STEP, f"{count} pictures are asked for", "Ask for one or more")
    texts = (captions,) * count if isinstance(captions, str) else tuple(captions)
    _check_count(count, "labels", labels)
    _check_count(count, "captions", texts or None)
    _check_count(count, "images", images)
    classes = model.shape.classes if "labels" in model.hears else 0
    if texts and "captions" not in model.hears:
        raise UsageError(STEP, f"captions are given, and this {model.family} draws by none", "Leave them out")
    chosen = torch.as_tensor(labels, dtype=torch.long) if labels is not None else None
    if chosen is not None and (not classes or int(chosen.min()) < 0 or int(chosen.max()) >= classes):
        remedy = (
            f"It has classes 0 to {classes - 1}" if classes else f"This {model.family} draws by none; leave them out"
        )
        raise UsageError(STEP, f"labels {sorted(set(chosen.tolist()))[:20]} do not fit the model", remedy)
    if chosen is None and classes:
        chosen = even_labels(count, classes)
    return Conditions(count, chosen, texts, images)


def _check_count(count: int, name: str, values: Any) -> None:
    if values is not None and len(values) != count:
        raise UsageError(STEP, f"{count} pictures are asked for and {len(values)} {name} given", "Give one a picture")


def _part(asked: Conditions, part: slice, device: torch.device) -> Conditions:
    from generators.model import Conditions

    count = len(range(*part.indices(asked.count)))
    return Conditions(
        count,
        None if asked.labels is None else asked.labels[part].to(device),
        asked.captions[part],
        None if asked.images is None else asked.images[part].to(device),
    )

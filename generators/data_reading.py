"""Entries decoded into pictures: skips listed, memory bounded, as many as are asked for drawn by the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generators.data_entries import STEP, Entry, Found, Part
from generators.errors import DataError, ImageError
from generators.image_files import decode
from generators.image_fitting import Look, fit
from generators.pictures import Pictures, Skipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

MOST_MEMORY = 2 * 2**30
"""Bytes of all pictures in memory, targets counted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How entries are read.

    Attributes:
        look: of every picture.
        max_pixels: of a picture's file.
        max_images: so many, drawn by `seed`; 0 means all.
        strict: the first picture that cannot be used is an error.
        copies: pictures kept in memory for each entry.
    """

    look: Look
    max_pixels: int
    max_images: int = 0
    seed: int = 0
    strict: bool = False
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Read:
    """Pictures, the part of each in a split that the source has, and what was left out."""

    pictures: Pictures
    parts: tuple[Part, ...]
    skipped: tuple[Skipped, ...] = ()


def read_entries(found: Found, how: Reading, partners: Mapping[str, Entry] | None = None) -> Read:
    """Decode the pictures, and of each the partner of its name where there are partners.

    Raises:
        ImageError: the first picture that cannot be used, where `strict` is set.
        DataError: they would take too much memory, or none can be used.
    """
    import torch

    order = _order(len(found.entries), how)
    wanted = min(len(order), how.max_images or len(order))
    check_memory(wanted, how, found.source)
    images: list[NDArray[np.uint8]] = []
    targets: list[NDArray[np.uint8]] = []
    kept: list[int] = []
    skipped: list[Skipped] = []
    for index in order:
        entry = found.entries[index]
        try:
            image = _decoded(entry, how)
            target = _decoded(partners[entry.name], how) if partners is not None else None
        except ImageError as error:
            if how.strict:
                raise
            skipped.append(Skipped(entry.name, error.cause.removeprefix(f"{entry.name} ")))
            continue
        images.append(image)
        kept.append(index)
        if target is not None:
            targets.append(target)
        if len(kept) == wanted:
            break
    if not kept:
        first = f"{skipped[0].name} {skipped[0].reason}"
        raise DataError(STEP, f"none of the pictures of {found.source} can be used: {first}", "Mend them")
    back = torch.tensor(kept).argsort()
    entries = [found.entries[kept[i]] for i in back.tolist()]
    labels, class_names = _labels(entries, found.class_names)
    pictures = Pictures(
        images=_stack(images)[back],
        labels=labels,
        class_names=class_names,
        captions=tuple(entry.caption for entry in entries) if any(entry.caption for entry in entries) else (),
        targets=_stack(targets)[back] if targets else None,
        names=tuple(entry.name for entry in entries),
        source=found.source,
    )
    return Read(pictures, tuple(entry.part for entry in entries), (*found.skipped, *skipped))


def check_memory(count: int, how: Reading, source: str) -> None:
    """Refuse what would not fit, before anything is decoded. Raises DataError."""
    a_picture = how.look.channels * how.look.size**2 * how.copies
    if count * a_picture > MOST_MEMORY:
        cause = f"{count:,} pictures of {source} would take {count * a_picture / 2**30:.1f} GiB of memory"
        most = MOST_MEMORY // a_picture
        remedy = f"Set data.max_images to at most {most:,}" if most else "Set a smaller data.size"
        raise DataError(STEP, cause, f"{remedy}, or a smaller data.size" if most else remedy)


def _order(count: int, how: Reading) -> list[int]:
    """All in order; or, where not all are wanted, as the seed draws them."""
    import torch

    if not 0 < how.max_images < count:
        return list(range(count))
    drawn: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(how.seed)).tolist()
    return drawn


def _decoded(entry: Entry, how: Reading) -> NDArray[np.uint8]:
    found = entry.read()
    if isinstance(found, bytes):
        return decode(found, entry.name, how.look, how.max_pixels)
    from PIL import Image

    return fit(Image.fromarray(found), how.look, entry.name)


def _stack(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    import numpy as np
    import torch

    return torch.from_numpy(np.stack(images))


def _labels(entries: Sequence[Entry], names: Sequence[str]) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels by the order of the class names; a class none of whose pictures was kept has no number."""
    import torch

    present = {entry.group for entry in entries}
    numbers = {name: number for number, name in enumerate(name for name in names if name in present)}
    if len(numbers) < 2 or "" in present:
        return None, ()
    return torch.tensor([numbers[entry.group] for entry in entries]), tuple(numbers)

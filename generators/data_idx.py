"""Pictures and labels of idx files: `idx:IMAGES[,LABELS]`, or `idx:FOLDER` that holds MNIST's files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from generators.data_digits import NAMES
from generators.data_entries import STEP, Entry, Found, Part
from generators.errors import DataError
from generators.idx_files import read_idx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREFIXES: dict[str, Part] = {"train": "train", "t10k": "test"}


def find_in_idx(given: str) -> Found:
    """The pictures, in the files' order; ten classes are called zero to nine.

    A folder's train and t10k files are the parts of a split when both are there.

    Raises:
        DataError: a file is missing or damaged, or there is not one label a picture.
    """
    images, _, labels = given.partition(",")
    place = Path(images).expanduser()
    if not place.is_dir():
        return _named(_read(place, Path(labels).expanduser() if labels else None, ""), given)
    pairs = {part: found for start, part in PREFIXES.items() if (found := _pair(place, start))}
    if not pairs:
        cause = f"{place} holds neither train-images-idx3-ubyte nor t10k-images-idx3-ubyte, gzip or not"
        raise DataError(STEP, cause, "Write idx:IMAGES,LABELS")
    parts: dict[Part, tuple[Path, Path | None]] = pairs if len(pairs) == 2 else {"": next(iter(pairs.values()))}
    return _named([entry for part, pair in parts.items() for entry in _read(*pair, part)], given)


def _pair(folder: Path, start: str) -> tuple[Path, Path | None] | None:
    images = _either(folder / f"{start}-images-idx3-ubyte")
    return (images, _either(folder / f"{start}-labels-idx1-ubyte")) if images else None


def _either(path: Path) -> Path | None:
    return next((each for each in (path, path.with_name(path.name + ".gz")) if each.is_file()), None)


def _read(images: Path, labels: Path | None, part: Part) -> list[Entry]:
    pictures = read_idx(images, 3)
    numbers = read_idx(labels, 1) if labels else None
    if numbers is not None and len(numbers) != len(pictures):
        cause = f"{images} holds {len(pictures):,} pictures, and {labels} {len(numbers):,} labels"
        raise DataError(STEP, cause, "Give the files that belong together")
    groups = [f"{number:03}" for number in numbers] if numbers is not None else [""] * len(pictures)
    return [
        Entry(f"{images.name}#{index}", partial(_pixels, pictures, index), group, part)
        for index, group in enumerate(groups)
    ]


def _pixels(pictures: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = pictures[index]
    return values


def _named(entries: list[Entry], given: str) -> Found:
    """Classes in the order of their numbers; a single one is no class."""
    present = sorted({entry.group for entry in entries} - {""})
    spoken = bool(present) and int(present[-1]) < len(NAMES)
    names = {group: NAMES[int(group)] if spoken else str(int(group)) for group in present} if len(present) > 1 else {}
    named = tuple(replace(entry, group=names.get(entry.group, "")) for entry in entries)
    return Found(named, (), f"idx:{given}", tuple(names.values()))

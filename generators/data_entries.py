"""Pictures that a source names, before any is decoded; and what a name says: its part, class and caption."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeAlias

from generators.image_files import ENDINGS
from generators.pictures import Skipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEP = "reading the pictures"
Part: TypeAlias = Literal["", "train", "test"]
PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "test",
    "valid": "test",
    "validation": "test",
}
"""Names of a folder or a hub's split, and what they are trained or tested with."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture to be read.

    Attributes:
        name: its path within the source, with `/`; text for people and for matching, never opened.
        read: its file's bytes, or pixels [height, width] uint8. Raises ImageError.
        group: its class; empty where it has none.
        part: of a split that the source has.
        caption: of it.
    """

    name: str
    read: Callable[[], bytes | NDArray[np.uint8]]
    group: str = ""
    part: Part = ""
    caption: str = ""

    @property
    def stem(self) -> str:
        """The name without its last ending: what pairs are matched by."""
        return str(PurePosixPath(self.name).with_suffix(""))


@dataclass(frozen=True, slots=True)
class Found:
    """What a source holds.

    Attributes:
        entries: in a fixed order.
        skipped: what was seen and left out.
        source: for people.
        class_names: in the order of their numbers; by the alphabet where the source has no order.
    """

    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...] = ()
    source: str = ""
    class_names: tuple[str, ...] = ()


def is_picture(name: str) -> bool:
    """Whether a name ends as a picture's does, and is none of the files that systems hide beside them."""
    words = name.split("/")
    hidden = any(word == "__MACOSX" or (word.startswith(".") and word != "..") for word in words)
    return not hidden and words[-1].lower().endswith(ENDINGS)


def sorted_out(entries: Iterable[Entry], source: str, skipped: Sequence[Skipped] = ()) -> Found:
    """Give each entry its part and its class by the folders of its name.

    `train/` and `test/` (or their synonyms) at the top are parts when both are there and nothing else is. Below, the
    first folder is the class. One class alone is none; loose pictures beside class folders are left out.
    """
    found = list(entries)
    tops = {entry.name.split("/")[0] for entry in found}
    split = tops <= set(PARTS) and len({PARTS[top] for top in tops}) == 2
    placed = [_placed(entry, split) for entry in found]
    groups = sorted({entry.group for entry in placed} - {""})
    if len(groups) < 2:
        return Found(tuple(replace(entry, group="") for entry in placed), tuple(skipped), source)
    loose = [Skipped(entry.name, "it lies beside the class folders, in none") for entry in placed if not entry.group]
    kept = tuple(entry for entry in placed if entry.group)
    return Found(kept, (*skipped, *loose), source, tuple(groups))


def _placed(entry: Entry, split: bool) -> Entry:
    *folders, _ = entry.name.split("/")
    part: Part = PARTS[folders.pop(0)] if split else ""
    return replace(entry, part=part, group=folders[0] if folders else "")


def words(text: str) -> str:
    """A name as words: `golden_dragon2` is "golden dragon"; empty when it is only numbers."""
    found = re.split(r"[\W_]+", text.lower())
    return " ".join(bare for word in found if (bare := word.rstrip("0123456789")))


def path_caption(name: str) -> str:
    """`mon/dragons/golden_dragon.png` is "golden dragon, dragons": the name, then the folders from the nearest up.

    The topmost folder, which is the class, is left out where there is another.
    """
    *folders, last = PurePosixPath(name).with_suffix("").parts
    told = folders[1:] if len(folders) > 1 else folders
    return ", ".join(dict.fromkeys(text for part in (last, *reversed(told)) if (text := words(part))))

"""The pictures that a recipe's data section names, split into those to train on and those held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from generators.data_captions import captioned, class_captions
from generators.data_digits import find_digits
from generators.data_domains import DOMAINS, binary, with_domain
from generators.data_entries import STEP, Found
from generators.data_folder import find_in_folder
from generators.data_hub import find_in_hub
from generators.data_idx import find_in_idx
from generators.data_pairs import pair
from generators.data_reading import Read, Reading, read_entries
from generators.data_split import apart, check_fraction, split_pictures
from generators.data_zip import find_in_zip
from generators.errors import DataError, ImageError
from generators.image_fitting import Look
from generators.pictures import Pictures, Split
from generators.sections import DataSection
from generators.settings import generator_settings

KINDS: dict[str, Callable[[str], Found]] = {
    "zip": lambda rest: find_in_zip(Path(rest).expanduser()),
    "idx": find_in_idx,
    "hub": find_in_hub,
}
LARGEST = 4096
"""Pixels a side."""


def load_pictures(section: DataSection) -> Split:
    """Read, resize, caption, pair and split. (`flip` is the trainer's: it mirrors as it draws.)

    Two sets without pairs: the training pictures' targets are in an order of their own; held-out targets that were
    made from the pictures stay paired, so that a translation can be held against the truth.

    Raises:
        ImageError: a picture cannot be used and the section is strict; names the file.
        DataError: there is nothing to train on, captions or targets do not fit the pictures, or they are too many.
    """
    _check(section)
    read = _read(section)
    train, test = _split(read, section)
    skipped = read.skipped
    if section.targets in DOMAINS and section.pairing == "unpaired":
        train = apart(train, section.seed)
    elif section.targets and section.pairing == "unpaired":
        second = _read(replace(section, source=section.targets, targets="", captions=""))
        ours, theirs = _split(second, section)
        train = replace(train, targets=ours.images, paired=False)
        test = replace(test, targets=theirs.images, paired=False)
        skipped = (*skipped, *second.skipped)
    return Split(train, test, skipped)


def find_pictures(source: str, size: int = 16) -> Found:
    """What a source holds, undecoded; digits are enlarged to `size`. Raises DataError."""
    if source == "digits":
        return find_digits(size)
    kind, colon, rest = source.partition(":")
    return KINDS[kind](rest) if colon and kind in KINDS else find_in_folder(Path(source).expanduser())


def read_pictures(source: str, size: int, channels: Literal[1, 3], most: int = 0) -> Pictures:
    """Pictures to be looked at or translated, the first `most` of a source or all, in its order.

    Raises:
        ImageError: one cannot be used.
        DataError: there is none.
    """
    found = find_pictures(source, size)
    kept = replace(found, entries=found.entries[: most or None])
    how = Reading(Look(size, channels), generator_settings().max_pixels, strict=True)
    return read_entries(kept, how).pictures


def _check(section: DataSection) -> None:
    if not section.source:
        raise DataError(STEP, "data.source is empty", "Write digits, a folder, zip:FILE, idx:IMAGES or hub:NAME")
    if not 1 <= section.size <= LARGEST:
        raise DataError(STEP, f"data.size is {section.size}", f"Give a number from 1 to {LARGEST}")
    if section.max_images < 0:
        raise DataError(STEP, f"data.max_images is {section.max_images}", "Give a number, or 0 for all")
    check_fraction(section.test_fraction)


def _read(section: DataSection) -> Read:
    """The pictures, with their captions, and their targets where these are paired."""
    found = find_pictures(section.source, section.size)
    if section.captions not in ("", "classes"):
        folder = Path(section.source).expanduser()
        found = captioned(found, section.captions, folder if folder.is_dir() else None, section.strict)
    partners = None
    if section.targets and section.targets not in DOMAINS and section.pairing == "paired":
        found, partners = pair(found, find_pictures(section.targets, section.size), section.strict)
    if section.strict and found.skipped:
        first = found.skipped[0]
        raise ImageError("reading a picture", f"{first.name}: {first.reason}", "Remove it, or leave out strict: true")
    read = read_entries(found, _reading(section), partners)
    return replace(read, pictures=_finished(read.pictures, section))


def _reading(section: DataSection) -> Reading:
    return Reading(
        look=Look(section.size, section.channels, section.background),
        max_pixels=generator_settings().max_pixels,
        max_images=section.max_images,
        seed=section.seed,
        strict=section.strict,
        copies=2 if section.targets else 1,
    )


def _finished(pictures: Pictures, section: DataSection) -> Pictures:
    """Black and white where that is asked for, then what is made from pictures and labels."""
    if section.binarise:
        targets = pictures.targets
        pictures = replace(
            pictures, images=binary(pictures.images), targets=binary(targets) if targets is not None else None
        )
    if section.captions == "classes":
        if pictures.labels is None:
            cause = f"captions: classes wants classes, and {pictures.source} has none"
            raise DataError(STEP, cause, "Put each class into a folder of its own, or give a file of captions")
        captions = class_captions(pictures.labels.tolist(), pictures.class_names, section.seed)
        pictures = replace(pictures, captions=captions)
    return with_domain(pictures, section.targets) if section.targets in DOMAINS else pictures


def _split(read: Read, section: DataSection) -> tuple[Pictures, Pictures]:
    return split_pictures(read.pictures, read.parts, section.test_fraction, section.seed)

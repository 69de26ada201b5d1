"""The pictures of one person: PNG files named by us under home()/pictures, each beside what it was drawn with.

home()/pictures/OWNER/
    ID.png          the picture, with its metadata in it
    ID.json         what was asked for; only this file says which model is loaded to draw it again
    inputs/         pictures to start from, read and written anew by us, by their hash
    walks/KEY/      pictures on the way between two codes, made once
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.errors import ServiceError, UsageError
from decoder.runs.record import read_object, write_whole
from decoder.settings import home

OWNER = re.compile(r"own|[0-9a-f]{20}")
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}-[0-9]{3}")
_HASH = re.compile(r"[0-9a-f]{64}")
STEP = "looking for a picture"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Where one person's pictures are."""

    path: Path

    def every(self) -> list[str]:
        """The ids of the pictures, newest first; those that were drawn together in their order."""
        try:
            found = [file.stem for file in self.path.iterdir() if file.suffix == ".png" and _ID.fullmatch(file.stem)]
        except FileNotFoundError:
            return []
        return sorted(sorted(found, key=_number), key=_moment, reverse=True)

    def file(self, picture: str) -> Path:
        """The file of a picture. Raises UsageError when there is none of this id."""
        place = self.path / f"{picture}.png"
        if not _ID.fullmatch(picture) or not place.is_file() or place.is_symlink():
            raise UsageError(STEP, "there is no such picture", "It may have been deleted")
        return place

    def asked(self, picture: str) -> dict[str, Any]:
        """What the picture was drawn with, as the job was asked; empty where that is lost."""
        return read_object(self.file(picture).with_suffix(".json"))

    def note(self, picture: str, asked: Mapping[str, Any]) -> None:
        """Keep what a picture is drawn with. Raises CheckpointFailed."""
        write_whole(self.path / f"{picture}.json", json.dumps(dict(asked)), "keeping a picture")

    def delete(self, picture: str) -> None:
        """Remove a picture and what is known of it. Raises UsageError when there is none."""
        place = self.file(picture)
        place.unlink(missing_ok=True)
        place.with_suffix(".json").unlink(missing_ok=True)

    def made(self) -> Gallery:
        """The same, its folder made. Raises ServiceError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ServiceError("keeping a picture", str(error), "Free some space, or mend HEARTH_HOME") from error
        return self

    def keep_input(self, data: bytes) -> str:
        """Keep a picture to start from, decoded and written anew; its name is given back.

        Raises:
            ImageError: it is no picture of a known kind, damaged, animated or too large.
        """
        from generators.image_files import decode
        from generators.image_fitting import Look
        from generators.input_pictures import open_picture
        from generators.settings import generator_settings

        decode(data, "the picture", Look(16, 3), generator_settings().max_pixels)  # what it refuses, nothing else sees
        folder = self.made().path / "inputs"
        folder.mkdir(exist_ok=True, mode=0o700)
        name = hashlib.sha256(data).hexdigest()
        place, raw = folder / f"{name}.png", folder / f"{name}.{secrets.token_hex(4)}.part"
        if not place.is_file():
            try:
                raw.write_bytes(data)
                picture, written = open_picture(raw), raw.with_suffix(".made")
                picture.save(written, "PNG")
                written.replace(place)
            finally:
                raw.unlink(missing_ok=True)
        return name

    def input(self, name: str) -> Path:
        """A picture to start from, by the name that `keep_input` gave. Raises UsageError."""
        place = self.path / "inputs" / f"{name}.png"
        if not _HASH.fullmatch(name) or not place.is_file():
            raise UsageError(STEP, "the picture to start from is not there", "Give it again")
        return place

    def walk(self, key: str) -> Path:
        """The folder of a walk by its key. Raises UsageError for what is none."""
        if not _HASH.fullmatch(key):
            raise UsageError(STEP, "there is no such walk", "Make it again")
        return self.path / "walks" / key


def new_ids(count: int) -> list[str]:
    """Ids for pictures that are drawn together."""
    drawn = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
    return [f"{drawn}-{number:03}" for number in range(count)]


def owner_of(person: str) -> str:
    """The name of the folder of a person's pictures."""
    return hashlib.sha256(person.encode()).hexdigest()[:20] if person else "own"


def gallery_of(owner: str) -> Gallery:
    """The pictures below that name. Raises UsageError for one that `owner_of` never gives."""
    if not OWNER.fullmatch(owner):
        raise UsageError(STEP, "there is no such gallery", "Open the page anew")
    return Gallery(home() / "pictures" / owner)


def _moment(picture: str) -> str:
    return picture[:-4]


def _number(picture: str) -> int:
    return int(picture[-3:])

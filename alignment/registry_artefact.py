"""A trained artefact as data: its id, what it was made from and by, and what it scored.

Knows the folder's layout, `<models>/<id>/{artefact.json, model/}`, and nothing of how one is made or served.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alignment.errors import RegistryError
from alignment.settings import alignment_settings

STEP = "reading the registry"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}-[0-9a-f]{8,64}")
KINDS = ("adapter", "model", "reward")
# Weights, configurations, tokenizers and templates; what a trainer leaves beside them (pickles, code) stays behind.
KEPT = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md")


@dataclass(frozen=True, slots=True)
class Artefact:
    """A registered artefact. It never changes.

    Attributes:
        id: `<name>-<beginning of weights_sha256>`; also its name at a server.
        kind: "adapter" (LoRA), "model" (whole weights) or "reward".
        stage: that made it.
        created: seconds since the epoch.
        base: the base model's folder or hub name; empty for one trained from nothing.
        base_sha256: `models.weights_hash` of it; empty where there was no folder to hash.
        parents: registered artefacts that it was made from: base, adapter, reward model.
        weights_sha256: over the names and contents of every file in `model/`, in hexadecimal.
        data: what it was taught on: the report of the data, with `sha256` and `source`.
        recipe: as it was run; recipe_sha256 is its fingerprint.
        metrics: final figures of the run.
        code: {"hearth": version, "commit": …, "changed": …}; the last two in a Git checkout alone.
        libraries: versions, by name.
    """

    id: str
    kind: str
    stage: str
    created: float
    weights_sha256: str
    base: str = ""
    base_sha256: str = ""
    parents: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipe_sha256: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return models_folder() / self.id

    @property
    def model(self) -> Path:
        """The weights' folder."""
        return self.folder / "model"

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dataclasses.asdict(self)


def models_folder() -> Path:
    """The registry's folder."""
    return alignment_settings().models_folder


def check_id(given: str) -> str:
    """An id, which is safe as a folder's name. Raises RegistryError."""
    if not ID.fullmatch(given):
        raise RegistryError(STEP, f"{given!r} is no id of an artefact", "See `hearth models list`")
    return given


def read_artefact(folder: Path) -> Artefact:
    """The artefact in a folder. Raises RegistryError when its description is missing or damaged."""
    file = folder / "artefact.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        artefact = Artefact(**{**found, "parents": tuple(found["parents"])})
        if artefact.id != folder.name or artefact.kind not in KINDS:
            raise ValueError(f"it describes {artefact.id}, a {artefact.kind}")
        if not isinstance(artefact.created, (int, float)):
            raise TypeError(f"it was made {artefact.created!r}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RegistryError(STEP, f"{file} cannot be used: {error}", "Remove the folder, and register again") from error
    return artefact


def content_files(folder: Path) -> list[Path]:
    """The files of a model's folder that belong to an artefact, by name, those in folders below it too.

    Raises RegistryError where one is a link: what is registered must not change with something else.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise RegistryError("registering", f"{path} is a link", "Copy the file in its place")
        if path.is_file() and path.suffix in KEPT:
            found.append(path)
    return found


def content_hash(folder: Path) -> str:
    """SHA-256 over the names and contents of the folder's files, in hexadecimal. Raises RegistryError."""
    digest = hashlib.sha256()
    try:
        for file in content_files(folder):
            digest.update(file.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0")
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError as error:
        raise RegistryError(STEP, f"{error.filename}: {error.strerror}", "Check the folder's permissions") from error
    return digest.hexdigest()

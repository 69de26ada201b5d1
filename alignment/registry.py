"""The registry: what was trained, from what and by what, each in a folder of its own that never changes.

    artefact = register(folder)          # at the end of a stage
    show(artefact.id).data["sha256"]

An artefact is copied aside, described, and renamed into place: it is there whole or not at all. Serving is
`registry_serving.py`, comparing `registry_diff.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from alignment.errors import RegistryError
from alignment.recipe import load_recipe
from alignment.registry_artefact import (
    ID,
    KINDS,
    Artefact,
    check_id,
    content_files,
    content_hash,
    models_folder,
    read_artefact,
)
from alignment.registry_history import record
from alignment.registry_lock import SWITCHING, WRITING, locked
from decoder import alias
from decoder.errors import CheckpointFailed, RecipeError
from decoder.runs.code_version import code_version, library_versions
from decoder.runs.folder import RunFolder

STEP = "registering"
ASIDE = ".copy-"
REMOVED = ".removed-"


def register(folder: RunFolder) -> Artefact:
    """Take a finished run's result into the registry. A result that is there already is returned as it is.

    Raises:
        RegistryError: the run is not finished, or left no result that can be registered.
        CheckpointFailed: the disk refused; nothing that was registered is lost, and nothing half is.
    """
    state = _finished(folder)
    digest = content_hash(folder.model)
    with locked(WRITING, STEP) as root:
        _tidy(root)
        name = _free_id(root, str(state.get("name", "")), digest)
        if (root / name).exists():
            return show(name)
        try:
            artefact = _describe(folder, state, name, digest)
            _place(root, artefact, folder.model)
        except OSError as error:
            _tidy(root)
            remedy = "Free some space; then: hearth models register " + str(folder.path)
            raise CheckpointFailed(STEP, f"{root}: {error.strerror or error}", remedy) from error
    record("register", id=artefact.id, run=str(folder.path))
    return artefact


def list_artefacts() -> list[Artefact]:
    """All artefacts, the oldest first; other folders are passed over. Raises RegistryError for a damaged one."""
    root = models_folder()
    folders = [path for path in root.iterdir() if ID.fullmatch(path.name)] if root.is_dir() else []
    return sorted((read_artefact(path) for path in folders), key=lambda each: (each.created, each.id))


def show(given: str) -> Artefact:
    """One artefact. Raises RegistryError when there is none of this id, or a damaged one."""
    folder = models_folder() / check_id(given)
    if not folder.is_dir():
        raise RegistryError("reading the registry", f"there is no artefact {given}", "See `hearth models list`")
    return read_artefact(folder)


def verify(given: str) -> Artefact:
    """The artefact, once its weights were found to be those that were registered. Raises RegistryError."""
    artefact = show(given)
    if content_hash(artefact.model) != artefact.weights_sha256:
        cause = f"the files of {given} are not those that were registered"
        raise RegistryError("verifying", cause, "Remove it, and train or register again")
    return artefact


def remove(given: str) -> None:
    """Delete an artefact.

    Raises:
        RegistryError: it is promoted or the one to roll back to, or another was made from it.
    """
    with locked(WRITING, "removing") as root, locked(SWITCHING, "removing"):
        artefact = show(given)
        for base, target in alias.targets().items():
            if given in (target.model, target.before):
                state = "promoted" if given == target.model else "what a rollback goes back to"
                raise RegistryError("removing", f"{given} is {state} on {base}", "Promote another first")
        children = [each.id for each in list_artefacts() if given in each.parents]
        if children:
            raise RegistryError("removing", f"{', '.join(children)} was made from {given}", "Remove those first")
        aside = root / f"{REMOVED}{given}"
        artefact.folder.rename(aside)  # gone at once; what a crash leaves of it is tidied up later
        _tidy(root)
    record("remove", id=given)


def _finished(folder: RunFolder) -> dict[str, Any]:
    try:
        state = folder.state
    except RecipeError as error:
        raise RegistryError(STEP, error.cause, "Name a run's folder") from error
    if state.get("status") != "finished":
        cause = f"the run in {folder.path} is {state.get('status', 'not there')}, not finished"
        raise RegistryError(STEP, cause, "Finish it with --resume")
    if state.get("kind") not in KINDS:
        raise RegistryError(STEP, f"the run's kind is {state.get('kind')!r}", f"It must be one of {', '.join(KINDS)}")
    if not folder.model.is_dir() or not any(f.suffix == ".safetensors" for f in content_files(folder.model)):
        raise RegistryError(STEP, f"{folder.model} holds no safetensors weights", "Save the result as safetensors")
    return state


def _free_id(root: Path, name: str, digest: str) -> str:
    """The shortest id of at least eight digits that no other content has."""
    for length in (8, 16, 64):
        found = check_id(f"{name}-{digest[:length]}")
        if not (root / found).exists() or read_artefact(root / found).weights_sha256 == digest:
            return found
    raise AssertionError("two contents with one SHA-256")


def _describe(folder: RunFolder, state: dict[str, Any], name: str, digest: str) -> Artefact:
    recipe = _recipe(folder)
    return Artefact(
        id=name,
        kind=str(state["kind"]),
        stage=str(state.get("stage", "")),
        created=time.time(),
        weights_sha256=digest,
        base=str(state.get("base") or ""),
        base_sha256=str(state.get("base_sha256") or ""),
        parents=_parents(recipe, str(state.get("base") or "")),
        data=dict(state.get("data") or {}),
        recipe=recipe,
        recipe_sha256=str(state.get("recipe_sha256") or ""),
        metrics=dict(state.get("metrics") or {}),
        code=code_version(),
        libraries=library_versions(),
    )


def _recipe(folder: RunFolder) -> dict[str, Any]:
    from alignment.recipe import as_plain

    return as_plain(load_recipe(folder.path / "recipe.yaml"))


def _parents(recipe: dict[str, Any], base: str) -> tuple[str, ...]:
    """Registered artefacts among what the recipe names, by id or by path."""
    model, reward = recipe.get("model") or {}, recipe.get("reward") or {}
    named = (base, model.get("path"), model.get("adapter"), reward.get("model"), reward.get("gold"))
    found = [_artefact_of(str(each)) for each in named if each]
    return tuple(dict.fromkeys(each for each in found if each))


def _artefact_of(named: str) -> str:
    root = models_folder().resolve()
    path = root / named if ID.fullmatch(named) else Path(named).expanduser().resolve()
    for candidate in (path, *path.parents):
        if candidate.parent == root and (candidate / "artefact.json").is_file():
            return candidate.name
    return ""


def _place(root: Path, artefact: Artefact, source: Path) -> None:
    aside = Path(tempfile.mkdtemp(dir=root, prefix=ASIDE))
    aside.chmod(0o755)
    for file in content_files(source):
        target = aside / "model" / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        _flush(target)
        target.chmod(0o444)
    if content_hash(aside / "model") != artefact.weights_sha256:
        raise OSError(None, f"{source} changed while it was copied")
    description = aside / "artefact.json"
    description.write_text(json.dumps(artefact.plain(), indent=1, default=str) + "\n", encoding="utf-8")
    _flush(description)
    description.chmod(0o444)
    aside.rename(root / artefact.id)
    _flush(root)


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _tidy(root: Path) -> None:
    """Remove what a crash left half copied or half removed; called with the lock held."""
    for path in (*root.glob(f"{ASIDE}*"), *root.glob(f"{REMOVED}*")):
        shutil.rmtree(path, ignore_errors=True)

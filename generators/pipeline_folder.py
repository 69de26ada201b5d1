"""Whether a pipeline's folder is safe to load: no pickled weights, no code, nothing that leads out of the folder.

A folder is data that somebody else wrote, so everything that a loader would follow is read and checked first:
`model_index.json`, every configuration, every index of sharded weights, every symlink.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.errors import PipelineRefused
from generators.pipeline_classes import COMPONENT, INDEX_REMEDY, STEP, part_class, pipeline_class

INDEX = "model_index.json"
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".msgpack", ".h5"})
CODE = frozenset({".py", ".pyc", ".pyx", ".so", ".dll", ".dylib", ".ipynb"})
CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_pipelines", "custom_pipeline"})
FETCHING_KEYS = frozenset({"use_pretrained_backbone", "init_inputs"})
"""With these a configuration has further weights fetched by name, or hands a constructor what it likes."""
KERNEL_KEYS = frozenset({"attn_implementation", "_attn_implementation", "_attn_implementation_internal"})
MAX_FILES = 5_000
MAX_JSON_BYTES = 16 << 20
SAFE_REMEDY = "Take a pipeline whose weights are safetensors, or save it so with save_pretrained"


@dataclass(frozen=True, slots=True)
class PipelineLayout:
    """A folder that was checked.

    Attributes:
        folder: where it is.
        pipeline: the class that diffusers will make of it.
        components: name to (library, class) of each part that is there.
        files: what is loaded, sorted.
        variant: of the weights' names, such as `fp16`; mostly empty.
        state: of the folder's files as the check found them; see `folder_state`.
    """

    folder: Path
    pipeline: str
    components: Mapping[str, tuple[str, str]]
    files: tuple[Path, ...]
    variant: str = ""
    state: frozenset[tuple[str, int, int, int]] = frozenset()


def check_folder(folder: Path, root: Path | None = None) -> PipelineLayout:
    """Read what would be loaded, and refuse it or say what it is. Nothing of it is run.

    Args:
        root: where symlinks may lead; by default the folder itself.

    Raises:
        PipelineRefused: names the file and what is wrong with it.
    """
    files = list(_walk(folder, (root or folder).resolve()))
    state = folder_state(folder)
    index = folder / INDEX
    if index not in files:
        raise PipelineRefused(STEP, f"{folder} holds no {INDEX}", "Name the folder of a diffusers pipeline")
    said = read_json(index)
    pipeline = pipeline_class(said, index)
    components = _components(said, index)
    loaded, variants = [index], set()
    for name, (library, cls) in components.items():
        inside = [file for file in files if file.parent == folder / name]
        weights, variant = _check_component(folder / name, inside, part_class(library, cls, index))
        loaded += [file for file in inside if file.suffix.lower() not in PICKLED | {".safetensors"}] + weights
        variants.add(variant)
    return PipelineLayout(folder, pipeline, components, tuple(sorted(loaded)), max(variants, default=""), state)


def folder_state(folder: Path) -> frozenset[tuple[str, int, int, int]]:
    """Name, number, size and time of change of each file: another where somebody wrote to one meanwhile."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return frozenset((str(path), about.st_ino, about.st_size, about.st_ctime_ns) for path, about in found)


def read_json(file: Path) -> dict[str, Any]:
    """A file's JSON object, with no key that names code. Raises PipelineRefused."""
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise PipelineRefused(STEP, f"{file} is larger than {MAX_JSON_BYTES >> 20} MiB", INDEX_REMEDY)
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PipelineRefused(STEP, f"{file} is no JSON: {str(error)[:200]}", INDEX_REMEDY) from error
    if not isinstance(said, dict):
        raise PipelineRefused(STEP, f"{file} holds no JSON object", INDEX_REMEDY)
    _check_keys(said, file)
    return said


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    """Every file, each checked for where it leads and for code."""
    for number, path in enumerate(sorted(folder.rglob("*"))):
        if number >= MAX_FILES:
            raise PipelineRefused(STEP, f"{folder} holds more than {MAX_FILES} files", "Name a pipeline's own folder")
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise PipelineRefused(STEP, f"{path} is a link that leaves the folder", "Replace the link by the file")
        if path.is_symlink() and path.is_dir():
            raise PipelineRefused(STEP, f"{path} is a link to a folder", "Replace the link by the folder")
        if path.suffix.lower() in CODE:
            raise PipelineRefused(STEP, f"{path} is code, and code of a pipeline is never run", "Remove the file")
        if path.is_file():
            yield path
        elif not path.is_dir():
            raise PipelineRefused(STEP, f"{path} is no file", "Remove it")


def _check_keys(said: Any, file: Path) -> None:
    for key, value in _pairs(said):
        if key in CODE_KEYS and value:
            raise PipelineRefused(STEP, f"{file} names code to run: {key}", "Take a pipeline without code of its own")
        if key in FETCHING_KEYS and value:
            raise PipelineRefused(STEP, f"{file} asks for more than its folder holds: {key}", f"Remove {key}")
        if key.endswith("_file") and isinstance(value, str) and Path(value).name != value:
            raise PipelineRefused(STEP, f"{file} names a file elsewhere: {key} {value[:80]!r}", f"Remove {key}")
        if key in KERNEL_KEYS and isinstance(value, str) and "/" in value:
            raise PipelineRefused(STEP, f"{file} names a kernel to download: {value[:80]}", f"Remove {key}")


def _pairs(said: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value, at any depth; without recursion, of which json.loads allows as much as Python does."""
    left = [said]
    while left:
        here = left.pop()
        if isinstance(here, dict):
            yield from here.items()
            left += here.values()
        elif isinstance(here, list):
            left += here


def _components(said: Mapping[str, Any], index: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for name, value in said.items():
        if name.startswith("_") or isinstance(value, (bool, int, float, type(None))):
            continue
        if isinstance(value, str) and len(value) != len(("library", "class")):  # diffusers would unpack two letters
            continue
        pair = tuple(value) if isinstance(value, list) else ()
        if pair == (None, None):
            continue
        if len(pair) != 2 or not all(isinstance(part, str) for part in pair) or not COMPONENT.fullmatch(name):
            raise PipelineRefused(STEP, f"{index}: {name[:80]!r} is not [library, class]", INDEX_REMEDY)
        found[name] = (pair[0], pair[1])
    return found


def _check_component(place: Path, files: list[Path], cls: type) -> tuple[list[Path], str]:
    """The weights of a part that will be read, and their variant."""
    import torch

    for file in files:
        if file.suffix == ".json" and file.name not in ("tokenizer.json", "vocab.json"):
            read_json(file)
        if file.name.startswith("adapter_config"):
            raise PipelineRefused(STEP, f"{file} names another model to load", "Hand the adapter over as a LoRA")
    pickled = [file for file in files if file.suffix.lower() in PICKLED]
    if not issubclass(cls, torch.nn.Module):
        if pickled:
            raise PipelineRefused(STEP, f"{pickled[0]} may be a pickle, which can run code", "Remove the file")
        return [], ""
    for file in files:
        if file.name.endswith(".index.json") and ".safetensors." in file.name:
            _check_shards(file)
    plain, variant = _weights(files)
    if not plain:
        culprit = f"{pickled[0]} may be a pickle, which can run code" if pickled else f"{place} holds no safetensors"
        raise PipelineRefused(STEP, culprit, SAFE_REMEDY)
    return plain, variant


def _weights(files: list[Path]) -> tuple[list[Path], str]:
    """The safetensors without a variant where there are such, else those of the first variant."""
    by_variant: dict[str, list[Path]] = {}
    for file in files:
        matched = re.fullmatch(
            r"(?:diffusion_pytorch_model|model)(?:\.(?P<a>[A-Za-z]\w*))?(?:-\d{5}-of-\d{5})?(?:\.(?P<b>[A-Za-z]\w*))?"
            r"\.safetensors",
            file.name,
        )
        if matched:
            by_variant.setdefault(matched["a"] or matched["b"] or "", []).append(file)
    variant = min(by_variant, default="")
    return by_variant.get(variant, []), variant


def _check_shards(index: Path) -> None:
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict):
        raise PipelineRefused(STEP, f"{index} has no weight_map", INDEX_REMEDY)
    for shard in set(map(str, shards.values())):
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise PipelineRefused(
                STEP, f"{index} names {shard[:120]!r}, which is no safetensors beside it", SAFE_REMEDY
            )
        if not (index.parent / shard).is_file():
            raise PipelineRefused(STEP, f"{index} names {shard[:120]!r}, which is not there", "Fetch the missing file")

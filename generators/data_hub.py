"""Pictures of the hub's data sets, or of a folder that `datasets` wrote: hub:name[@revision][:config][:split].

Tables alone are read (Parquet, Arrow, picture folders); a data set with a loading script is refused. The pictures are
decoded by `image_files`, not by the library. Columns are found by their kind: the first of pictures, the first of class
labels, and `caption` or `text`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from decoder.errors import MissingExtra
from generators.data_entries import PARTS, STEP, Entry, Found, Part
from generators.errors import DataError, ImageError
from generators.image_files import MOST_BYTES, read_file

BUILDERS = ("parquet", "arrow", "imagefolder", "json", "csv")
CAPTIONS = ("caption", "text")
SYNTAX = "Write hub:NAME[@REVISION][:CONFIG][:SPLIT]"


def find_in_hub(given: str) -> Found:
    """The pictures of `name[@revision][:config][:split]`; without a split, train and test (or validation) are parts.

    Raises:
        MissingExtra: `datasets` is not installed.
        DataError: the data set cannot be had, is of another kind, or has no column of pictures.
    """
    name, config, split = ([*given.split(":"), "", ""])[:3]
    name, _, revision = name.partition("@")
    if not name or given.count(":") > 2:
        raise DataError(STEP, f"hub:{given} names no data set", SYNTAX)
    tables = _tables(given, name, config, revision)
    if split and split not in tables:
        raise DataError(STEP, f"hub:{given} has no split {split}", f"It has {', '.join(tables)}")
    chosen: dict[Part, Any] = {"": tables[split]} if split else _parts(tables)
    entries: list[Entry] = []
    for part, table in chosen.items():
        entries += _entries(table, part, given)
    if not entries:
        raise DataError(STEP, f"hub:{given} is empty", "Name another split")
    present = {entry.group for entry in entries} - {""}
    known = dict.fromkeys(name for table in chosen.values() for name in _class_names(table))
    return Found(tuple(entries), (), f"hub:{given}", tuple(name for name in known if name in present))


def _tables(given: str, name: str, config: str, revision: str) -> dict[str, Any]:
    """The splits by name, memory-mapped."""
    try:
        import datasets  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingExtra(STEP, "datasets", "generate") from error
    place = Path(name).expanduser()
    try:
        if (place / "dataset_dict.json").is_file() or (place / "state.json").is_file():
            found = datasets.load_from_disk(str(place))
        else:
            pinned = {"revision": revision or None}
            builder = datasets.load_dataset_builder(name, config or None, **pinned)
            _check_builder(builder.__module__, given)
            found = datasets.load_dataset(name, config or None, **pinned)
    except DataError:
        raise
    except Exception as error:  # the library raises errors of many kinds, its own and those of the packages below it
        said = (str(error).splitlines() or [type(error).__name__])[0][:300]
        remedy = "Check the name, the configuration and the network; what was loaded before is found offline, too"
        raise DataError(STEP, f"hub:{given} cannot be loaded: {said}", remedy) from error
    return dict(found) if isinstance(found, Mapping) else {"train": found}


def _check_builder(module: str, given: str) -> None:
    kind = module.rpartition(".")[2]
    if not module.startswith("datasets.packaged_modules.") or kind not in BUILDERS:
        raise DataError(STEP, f"hub:{given} is kept as {kind}, and only {', '.join(BUILDERS)} are read", "Convert it")


def _parts(tables: Mapping[str, Any]) -> dict[Part, Any]:
    """One split for training and one for testing; a single one is all there is."""
    found: dict[Part, Any] = {}
    for name in PARTS:  # test comes before validation there
        if name in tables:
            found.setdefault(PARTS[name], tables[name])
    return found if len(found) == 2 else {"": next(iter(found.values() or tables.values()))}


def _entries(table: Any, part: Part, given: str) -> list[Entry]:
    import datasets

    pictures = _column(table, lambda feature: isinstance(feature, datasets.Image))
    if not pictures:
        cause = f"hub:{given} has no column of pictures, only {', '.join(table.features)}"
        raise DataError(STEP, cause, "Name another configuration or split")
    labels = _column(table, lambda feature: isinstance(feature, datasets.ClassLabel))
    texts = next((name for name in CAPTIONS if name in table.features), "")
    table = table.cast_column(pictures, datasets.Image(decode=False))
    groups = _words(table, labels, _class_names(table)) if labels else [""] * len(table)
    captions = [str(text or "") for text in table[texts]] if texts else [""] * len(table)
    rows = table.select_columns([pictures])
    return [
        Entry(f"{part or 'row'}/{i}", partial(_read, rows, i, pictures), group, part, " ".join(caption.split()))
        for i, (group, caption) in enumerate(zip(groups, captions, strict=True))
    ]


def _words(table: Any, column: str, names: tuple[str, ...]) -> list[str]:
    numbers = list(table[column])
    return [names[number] if number is not None and 0 <= number < len(names) else "" for number in numbers]


def _class_names(table: Any) -> tuple[str, ...]:
    import datasets

    column = _column(table, lambda feature: isinstance(feature, datasets.ClassLabel))
    return tuple(table.features[column].names) if column else ()


def _column(table: Any, fits: Callable[[Any], bool]) -> str:
    return next((name for name, feature in table.features.items() if fits(feature)), "")


def _read(rows: Any, index: int, column: str) -> bytes:
    """The bytes in the table; or of a file that the library put into its cache, and of no other."""
    name = f"row {index}"
    cell = rows[index][column] or {}
    data, path = cell.get("bytes"), cell.get("path")
    if isinstance(data, bytes):
        if len(data) > MOST_BYTES:
            raise ImageError("reading a picture", f"{name} is larger than {MOST_BYTES // 2**20} MiB", "Remove it")
        return data
    if isinstance(path, str) and any(Path(path).resolve().is_relative_to(cache) for cache in _caches()):
        return read_file(Path(path), name)
    raise ImageError("reading a picture", f"{name} has no picture's bytes in the table", "Save it with its bytes")


def _caches() -> list[Path]:
    import datasets
    from huggingface_hub import constants

    places = (datasets.config.HF_DATASETS_CACHE, constants.HF_HUB_CACHE)
    return [Path(os.path.realpath(place)) for place in places]

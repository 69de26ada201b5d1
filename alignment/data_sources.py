"""Where rows come from: a file by its ending, `hub:name[@revision][:config][:split]`, or `example:NAME`.

Nothing here runs code of a data set: JSON, CSV and Parquet are parsed, hub data sets with loading scripts refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from alignment.data_files import MOST_BYTES, Raw, read_text_file
from alignment.data_report import STEP
from alignment.errors import DataError

EXAMPLES = Path(__file__).parent / "examples"
"""Data sets of our own writing that ship; each is `example:` and its name."""
ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
HUB_BUILDERS = ("json", "csv", "parquet", "arrow", "text")
BATCH = 256


def read_source(source: str, most: int = 0) -> Iterator[Raw]:
    """The rows of a source in order, the first `most` of them, or all when it is 0.

    Raises:
        DataError: there is no such source, or it cannot be read.
    """
    rows = _read(source)
    with closing(rows):
        yield from islice(rows, most or None)


def _read(source: str) -> Generator[Raw, None, None]:
    if source.startswith("hub:"):
        yield from _read_hub(source)
        return
    path = _find_example(source) if source.startswith("example:") else Path(source).expanduser()
    kind = _ending(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(STEP, f"{path} {what}", f"Give a file that ends in {', '.join(ENDINGS)}")
    yield from _read_parquet(path) if kind == ".parquet" else read_text_file(path, kind)


def _ending(path: Path) -> str:
    kinds = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = bool(kinds) and kinds[-1] in (".gz", ".xz")
    kind = kinds[-2] if packed and len(kinds) == 2 else (kinds or [""])[-1]
    if kind not in ENDINGS or (packed and kind == ".parquet"):
        remedy = f"Give a file that ends in {', '.join(ENDINGS)}, text also in .gz or .xz; or hub:NAME, or example:NAME"
        raise DataError(STEP, f"{str(path) or 'the empty name'} is of no kind that is read", remedy)
    return kind


def _find_example(source: str) -> Path:
    name = source.removeprefix("example:")
    known = sorted(file.stem for file in EXAMPLES.glob("*.jsonl"))
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        remedy = f"Did you mean example:{near[0]}?" if near else f"Known: {', '.join(known)}"
        raise DataError(STEP, f"there is no example {name!r}", remedy)
    return EXAMPLES / f"{name}.jsonl"


def _read_parquet(path: Path) -> Iterator[Raw]:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > MOST_BYTES:
                raise DataError(STEP, f"{path} holds more than {MOST_BYTES} bytes once unpacked", "Split it")
            for batch in file.iter_batches(BATCH):
                yield from (Raw(0, row) for row in batch.to_pylist())
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        cause = f"{path} is no Parquet that can be read: {str(error).splitlines()[0][:200] if str(error) else ''}"
        raise DataError(STEP, cause, "Give a whole Parquet file") from error


def _read_hub(source: str) -> Iterator[Raw]:
    """A data set of the Hugging Face hub, or a folder laid out as one, from its data files alone."""
    from alignment.models import require_training

    require_training()
    import datasets  # type: ignore[import-untyped]

    name, config, split = ([*source.removeprefix("hub:").split(":"), "", ""])[:3]
    name, _, revision = name.partition("@")
    if not name:
        raise DataError(STEP, f"{source} names no data set", "Write hub:NAME[@REVISION][:CONFIG][:SPLIT]")
    try:
        builder = datasets.load_dataset_builder(name, config or None, revision=revision or None)
        _check_builder(builder.__module__, source)
        table = datasets.load_dataset(name, config or None, split=split or "train", revision=revision or None)
    except DataError:
        raise
    # The library raises errors of many kinds, its own and those of the packages below it.
    except Exception as error:
        cause = f"{source} cannot be loaded: {(str(error).splitlines() or [type(error).__name__])[0][:300]}"
        raise DataError(STEP, cause, "Check the name, the configuration and the split, and the network") from error
    yield from (Raw(0, dict(row)) for row in table)


def _check_builder(module: str, source: str) -> None:
    """Data of other kinds (pictures, archives) is no text, and each kind is one more parser of foreign bytes."""
    kind = module.rpartition(".")[2]
    if not module.startswith("datasets.packaged_modules.") or kind not in HUB_BUILDERS:
        cause = f"{source} is kept as {kind}, and only {', '.join(HUB_BUILDERS)} are read"
        raise DataError(STEP, cause, "Convert it to Parquet or JSON lines")

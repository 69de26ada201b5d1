"""Data sets as `datasets` writes them, read from folders: there is no network in a test."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image

from generators.data import load_pictures
from generators.errors import DataError
from generators.sections import DataSection

datasets = pytest.importorskip("datasets", reason="needs the extra generate")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """The library's cache, where this test alone sees it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def png(value):
    out = io.BytesIO()
    Image.new("L", (8, 8), value).save(out, "PNG")
    return out.getvalue()


def table(count=12, **columns):
    features = {
        "picture": datasets.Image(),
        "kind": datasets.ClassLabel(names=["dark", "unused", "bright"]),
        "text": datasets.Value("string"),
    }
    rows = {
        "picture": [{"bytes": png(200 if i % 3 == 0 else 20), "path": None} for i in range(count)],
        "kind": [2 if i % 3 == 0 else 0 for i in range(count)],
        "text": [f"a  picture\n{i}" for i in range(count)],
        **columns,
    }
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def load(source, **keys):
    return load_pictures(DataSection(source=f"hub:{source}", size=8, test_fraction=0.25, **keys))


def test_a_saved_table_gives_pictures_labels_and_captions(tmp_path):
    table().save_to_disk(str(tmp_path / "saved"))
    split = load(tmp_path / "saved")
    assert (len(split.train), len(split.test)) == (9, 3)
    assert split.train.class_names == ("dark", "bright")
    assert ((split.train.images[:, 0, 0, 0] > 100) == (split.train.labels == 1)).all()
    assert all(caption.startswith("a picture ") for caption in split.train.captions)


def test_a_saved_split_is_kept_and_one_can_be_named(tmp_path):
    datasets.DatasetDict(train=table(9), validation=table(6), test=table(3)).save_to_disk(str(tmp_path / "saved"))
    split = load(tmp_path / "saved")
    assert (len(split.train), len(split.test)) == (9, 3)
    split = load(f"{tmp_path / 'saved'}::validation")
    assert len(split.train) + len(split.test) == 6
    with pytest.raises(DataError, match="no split other"):
        load(f"{tmp_path / 'saved'}::other")


def test_a_folder_of_parquet_files_is_read(tmp_path):
    (tmp_path / "data").mkdir()
    table(8).to_parquet(str(tmp_path / "data" / "train.parquet"))
    table(4).to_parquet(str(tmp_path / "data" / "test.parquet"))
    split = load(tmp_path / "data")
    assert (len(split.train), len(split.test)) == (8, 4)
    assert split.train.class_names == ("dark", "bright")


def test_a_path_in_a_table_is_not_followed_out_of_the_cache(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(255))
    pictures = [{"bytes": png(9), "path": None}] * 11 + [{"bytes": None, "path": str(tmp_path / "secret.png")}]
    columns = {"picture": pictures, "kind": [0, 2] * 6, "text": ["a"] * 12}
    (tmp_path / "saved").mkdir()
    # Written below the library, which would put the file's bytes in.
    pyarrow_table = pyarrow.table(columns, schema=table().features.arrow_schema)
    pyarrow.parquet.write_table(pyarrow_table, tmp_path / "saved" / "train.parquet")
    split = load(tmp_path / "saved")
    assert len(split.skipped) == 1 and "no picture's bytes" in split.skipped[0].reason
    assert int(split.train.images.max()) == int(split.test.images.max()) == 9


def test_a_damaged_picture_in_a_table_is_skipped(tmp_path):
    pictures = [{"bytes": png(9), "path": None}] * 11 + [{"bytes": b"no picture", "path": None}]
    table(12, picture=pictures).save_to_disk(str(tmp_path / "saved"))
    assert len(load(tmp_path / "saved").skipped) == 1


def test_a_table_without_pictures_names_its_columns(tmp_path):
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match="no column of pictures, only text"):
        load(tmp_path / "saved")


def test_a_loading_script_is_not_run(tmp_path):
    (tmp_path / "scripted").mkdir()
    (tmp_path / "scripted" / "scripted.py").write_text("raise SystemExit('this code ran')")
    with pytest.raises(DataError, match=r"cannot be loaded|is kept as"):
        load(tmp_path / "scripted")


def test_a_name_of_no_data_set_shows_the_syntax():
    for source in ("", "@main", "a:b:c:d"):
        with pytest.raises(DataError, match="names no data set"):
            load(source)


def test_offline_a_name_of_the_hub_is_a_typed_error_at_once():
    code = (
        "from generators.data import load_pictures; from generators.sections import DataSection\n"
        "from generators.errors import DataError\n"
        "try: load_pictures(DataSection(source='hub:nobody/nothing@main'))\n"
        "except DataError as error: print(error)"
    )
    offline = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True, timeout=120)
    assert "hub:nobody/nothing@main cannot be loaded" in run.stdout, run.stderr

"""Rows come from JSON lines, JSON arrays, CSV, Parquet and the hub's layout; hostile files are typed errors."""

import csv
import gzip
import json
import lzma
import pickle
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment import data_files, data_sources
from alignment.data_sources import EXAMPLES, read_source
from alignment.errors import DataError

pytest.importorskip("pyarrow")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(TEXT, PLAIN, max_size=4), max_size=6)


def read(path, most=0):
    return [raw.row for raw in read_source(str(path), most)]


def raws(path, data):
    path.write_bytes(data)
    return list(read_source(str(path)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@given(rows=ROWS, packing=st.sampled_from(["", ".gz", ".xz"]), gap=st.sampled_from(["", "\n", " \r\n"]))
@settings(max_examples=80, deadline=None)
def test_json_lines_are_read_as_they_were_written(folder, rows, packing, gap):
    path = folder / f"rows.jsonl{packing}"
    data = gap.join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[packing](data))
    assert read(path) == rows


@given(rows=ROWS, indent=st.sampled_from([None, 1]))
@settings(max_examples=80, deadline=None)
def test_json_arrays_are_read_as_they_were_written_with_the_lines_that_rows_begin_on(folder, rows, indent):
    path = folder / "rows.json"
    text = json.dumps(rows, indent=indent)
    found = raws(path, text.encode())
    assert [raw.row for raw in found] == rows
    for raw in found:
        assert indent is None or text.splitlines()[raw.line - 1].startswith(" {")


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@given(
    header=st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=2, max_size=4, unique=True),
    seed=st.data(),
    delimiter=st.sampled_from([(",", ".csv"), (";", ".csv"), ("|", ".csv"), ("\t", ".tsv")]),
)
@settings(max_examples=80, deadline=None)
def test_csv_is_read_as_it_was_written(folder, header, seed, delimiter):
    cells = st.lists(CELL, min_size=len(header), max_size=len(header))
    rows = seed.draw(st.lists(cells, max_size=5))
    path = folder / f"rows{delimiter[1]}"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter[0]).writerows([header, *rows])
    assert read(path) == [dict(zip(header, row, strict=True)) for row in rows]


def test_parquet_is_read_as_it_was_written_nested_columns_too(tmp_path):
    import pyarrow
    from pyarrow import parquet

    rows = [{"messages": [{"role": "user", "content": f"{index}"}], "label": index % 2 == 0} for index in range(600)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=100)
    assert read(tmp_path / "rows.parquet") == rows
    assert read(tmp_path / "rows.parquet", most=3) == rows[:3]


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    assert raws(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "x"}\n')[0].row == {"text": "x"}
    assert raws(tmp_path / "a.json", b'\xef\xbb\xbf\n[{"text": "x"}]')[0].row == {"text": "x"}
    assert raws(tmp_path / "a.csv", b"\xef\xbb\xbftext,more\nx,y\n")[0].row == {"text": "x", "more": "y"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff\xfe"}', "the line is not UTF-8"),
        (b'{"text": ', "the line is not JSON"),
        (b'{"text": NaN}', "NaN is no JSON"),
        (b'{"text": -Infinity}', "-Infinity is no JSON"),
        (b"[1, 2]", "it is not a JSON object"),
        (b"[" * 100_000, "the line is not JSON (nested too deep)"),
        (b'{"a":' * 100_000, "the line is not JSON (nested too deep)"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the line is not JSON"),
        (b'{"a": "' + b"x" * 2000 + b'"}', "the line is longer than 1024 bytes"),
    ],
)
def test_a_line_that_cannot_be_read_is_one_row_and_the_next_is_another(tmp_path, line, reason, monkeypatch):
    if b"x" * 2000 in line:
        monkeypatch.setattr(data_files, "LONGEST_LINE", 1024)
    bad, good = raws(tmp_path / "rows.jsonl", line + b'\n\n{"text": "fine"}')
    assert bad.row is None and bad.line == 1 and bad.reason.startswith(reason)
    assert good.row == {"text": "fine"} and good.line == 3


def test_nan_in_an_array_is_the_fault_of_its_row_alone(tmp_path):
    bad, good = raws(tmp_path / "rows.json", b'[{"a": NaN},\n {"a": 1}]')
    assert (bad.row, bad.reason, good.row, good.line) == (None, "NaN is no JSON", {"a": 1}, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"a": 1},\n{"a": }]', "is no JSON array: line 2: Expecting value"),
        (b'[{"a": 1}\n{"a": 2}]', "is no JSON array: line 2: no comma"),
        (b'[{"a": 1},\n', "is no JSON array: line 2"),
        (b"[" * 100_000, "nested too deep"),
        (b'[{"a": "\xff"}]', "is not UTF-8 (byte 8)"),
    ],
)
def test_a_broken_array_names_the_line(tmp_path, data, said):
    with pytest.raises(DataError) as caught:
        raws(tmp_path / "rows.json", data)
    assert said in str(caught.value)


def test_csv_rows_that_do_not_fit_the_header_are_told_with_their_lines(tmp_path):
    data = b'prompt,completion\na,b\n"two\nlines",c\nragged\n\na,b,c\n\xff,b\n"never closed,x\n'
    found = raws(tmp_path / "rows.csv", data)
    assert [(raw.line, raw.reason) for raw in found if raw.row is None] == [
        (5, "it has 1 cells, and the header 2"),
        (7, "it has 3 cells, and the header 2"),
        (8, "it is not UTF-8"),
        (9, "it is no CSV (unexpected end of data)"),
    ]
    assert found[1].row == {"prompt": "two\nlines", "completion": "c"} and found[1].line == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"a,a\n1,2\n", "the column 'a' twice"), (b"a,\n1,2\n", "without a name"), (b"\xff,a\n1,2\n", "not UTF-8")],
)
def test_a_header_names_each_column_once(tmp_path, data, said):
    with pytest.raises(DataError, match=said):
        raws(tmp_path / "rows.csv", data)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("rows.jsonl.gz", gzip.compress(mtime=0, data=b'{"text": "x"}\n' * 9)[:-9], "cannot be read"),
        ("rows.jsonl.gz", b"no gzip", "Not a gzipped file"),
        ("rows.jsonl.xz", lzma.compress(b'{"text": "x"}\n' * 9)[:-9], "cannot be read"),
        ("rows.jsonl.xz", b"no xz", "cannot be read"),
        ("rows.parquet", b"no parquet", "is no Parquet"),
        ("rows.parquet", b"PAR1" + b"\0" * 40 + b"PAR1", "is no Parquet"),
        ("rows.parquet", b"", "is no Parquet"),
        ("rows.pkl", pickle.dumps([{"text": "x"}]), "of no kind that is read"),
        ("rows.parquet.gz", gzip.compress(b"x", mtime=0), "of no kind that is read"),
        ("rows", b"x", "of no kind that is read"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, data, said):
    with pytest.raises(DataError) as caught:
        raws(tmp_path / name, data)
    assert said in str(caught.value)


@pytest.mark.parametrize(("packing", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
@pytest.mark.parametrize("line", [b'{"text": "' + b"0" * (48 << 20), (b'{"text": "' + b"0" * 500_000 + b'"}\n') * 96])
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, packing, pack, line):
    import tracemalloc

    monkeypatch.setattr(data_files, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr(data_files, "MOST_BYTES", 4 << 20)
    path = tmp_path / f"rows.jsonl{packing}"
    path.write_bytes(pack(line))
    assert path.stat().st_size < 60_000
    tracemalloc.start()
    with pytest.raises(DataError, match="holds more than 4194304 bytes once unpacked"):
        for _ in read_source(str(path)):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20  # of 48 that the file holds


def test_a_table_and_an_array_that_are_too_large_are_refused(tmp_path, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    monkeypatch.setattr(data_sources, "MOST_BYTES", 1000)
    parquet.write_table(pyarrow.table({"text": ["x" * 5000]}), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="holds more than 1000 bytes"):
        read(tmp_path / "rows.parquet")
    monkeypatch.setattr(data_files, "MOST_ARRAY", 1000)
    with pytest.raises(DataError, match="an array of more than 1000 bytes"):
        raws(tmp_path / "rows.json", json.dumps(["x" * 2000]).encode())


@given(data=st.binary(max_size=200), name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_rows_or_a_typed_error(folder, data, name):
    try:
        for raw in raws(folder / name, data):
            assert (raw.row is None) == bool(raw.reason)
    except DataError as error:
        assert str(error)


def test_examples_are_known_by_name():
    assert read("example:prompts", most=2) == [
        json.loads(line) for line in (EXAMPLES / "prompts.jsonl").read_text().splitlines()[:2]
    ]
    with pytest.raises(DataError, match=r"Did you mean example:prompts\?"):
        read("example:promts")
    with pytest.raises(DataError, match="there is no example"):
        read("example:../../pyproject")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder in the layout of a hub's data set, as no hub can be reached here."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "tiny"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps({"text": split}) + "\n")
    return folder


def test_a_hub_data_set_is_read_by_split(hub):
    assert read(f"hub:{hub}") == [{"text": "train"}]
    assert read(f"hub:{hub}::test") == [{"text": "test"}]
    with pytest.raises(DataError, match=r"cannot be loaded: .*validation"):
        read(f"hub:{hub}::validation")
    with pytest.raises(DataError, match="cannot be loaded"):
        read(f"hub:{hub}/none")
    with pytest.raises(DataError, match="names no data set"):
        read("hub:")


def test_a_loading_script_is_never_run(hub, tmp_path):
    (hub / "tiny.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('x')\nraise SystemExit")
    with pytest.raises(DataError, match="scripts are no longer supported"):
        read(f"hub:{hub}")
    assert not (tmp_path / "ran").exists() and "tiny" not in sys.modules


def test_a_hub_data_set_of_pickles_or_pictures_is_refused(hub, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for file in hub.iterdir():
        file.unlink()
    (hub / "train.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError):
        read(f"hub:{hub}")
    (hub / "train.pkl").unlink()
    (hub / "train.xml").write_text("<a/>")
    with pytest.raises(DataError, match="is kept as xml"):
        read(f"hub:{hub}")
    assert not (tmp_path / "ran").exists()

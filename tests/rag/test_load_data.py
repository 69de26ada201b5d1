"""CSV, JSON, JSON Lines and XML: what is read from each, and what is refused."""

import json as stdlib_json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag.errors import DamagedDocument, DocumentError, DocumentLimit
from rag.filters import check_metadata
from rag.load import csv, json, jsonl, load, process, xml
from rag.load.properties import properties

PARSERS = {"csv": csv, "json": json, "jsonl": jsonl, "xml": xml}


@pytest.fixture
def read(tmp_path):
    def read(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(path)

    return read


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out_and_quotes_are_undone(read, delimiter):
    rows = [("Name", "Note"), ("Ann", '"has , ; | and ""quotes"""'), ("Bob", '"two\nlines"')]
    text = read("a.csv", "".join(delimiter.join(row) + "\r\n" for row in rows)).text
    assert text == '| Name | Note |\n| --- | --- |\n| Ann | has , ; \\| and "quotes" |\n| Bob | two lines |\n'


def test_ragged_rows_keep_every_cell_and_empty_ones_stay_out(read):
    assert read("a.csv", "1,2\na\n\n,,\na,b,c\n").text == "| 1 | 2 |  |\n| --- | --- | --- |\n| a |\n| a | b | c |\n"
    assert read("one.csv", "Industry\nSales\n").text == "| Industry |\n| --- |\n| Sales |\n"
    assert read("sep.csv", "sep=^\nx,y^z\n").text.startswith("| x,y | z |")
    assert read("a.tsv", "a\tb, c\nd\te\n".encode("utf-16")).text == "| a | b, c |\n| --- | --- |\n| d | e |\n"


def test_a_quotation_mark_that_never_ends_loses_nothing(read):
    rows = 'size,5" pipe\n' + "x,y\n" * 50_000 + '"open,z\n'
    assert '| "open | z |' in read("a.csv", rows + "x,y\n" * 50_000).text


def test_a_huge_csv_is_a_limit(read):
    with pytest.raises(DocumentLimit):
        read("huge.csv", "a,b\n" * 5_000_000)


def test_json_keeps_paths_texts_and_numbers_as_they_are_written(read):
    value = (
        '{"title": "A menu", "price": 1.50, "tags": ["a", "b"], "none": null, "on": true, "big": 12345678901234567890,'
    )
    value += '"a.b": {"deep": [{"x": 1}, {"x": "two words"}], "empty": {}}, "long": "%s"}' % ("word " * 1000)
    document = read("menu.json", value)
    assert document.title == "A menu"
    assert document.text.startswith(
        "title: A menu\nprice: 1.50\ntags: a, b\nnone: null\non: true\nbig: 12345678901234567890\n\n"
        '"a.b".deep[0].x: 1\n"a.b".deep[1].x: two words\n"a.b".empty:\n\nlong: word word'
    )
    assert document.text.count("word") == 1001
    assert read("list.json", '[{"a": 1, "b": 2}, {"a": 3}]').text == "[0].a: 1\n[0].b: 2\n\n[1].a: 3\n"


def test_jsonl_records_are_blocks_and_a_broken_line_is_named(read):
    assert read("a.jsonl", '{"q": "why?", "n": 1}\n\n{"q": "who?"}\n').text == "q: why?\nn: 1\n\nq: who?\n"
    with pytest.raises(DamagedDocument, match="line 3 is no JSON"):
        read("a.ndjson", '{"a": 1}\n\n{"a": \n')
    with pytest.raises(DamagedDocument, match="line 2 is nested"):
        read("b.jsonl", "1\n" + "[" * 200 + "]" * 200)


def test_xml_elements_are_lines_and_mixed_text_is_whole(read):
    text = """<?xml version="1.0" encoding="iso-8859-1"?><!-- no --><catalog xmlns="urn:x"><book id="bk1">
        <title>Caf\u00e9</title><about>Some <i>mixed</i> text.</about><empty/></book></catalog>"""
    document = read("c.xml", text.encode("latin-1"))
    assert document.text == "- catalog\n  - book (id=bk1)\n    - title: Café\n    - about: Some mixed text.\n"
    assert document.title == "Café"


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    "definitions",
    [
        f'<!ENTITY l0 "lol">{LAUGHS}<!ENTITY e "&l9;">',
        f'<!ENTITY e "{"x" * 100_000}">',
        '<!ENTITY e SYSTEM "file:///etc/passwd">',
        '<!ENTITY % e SYSTEM "http://127.0.0.1:9/"> %e;',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_document_types_are_refused(read, definitions, encoding):
    text = f"<?xml version='1.0' encoding='{encoding}'?><!DOCTYPE x [{definitions}]><x a='&e;'>{'&e;' * 1000}</x>"
    with pytest.raises(DamagedDocument, match="document type"):
        read("bomb.xml", text.encode(encoding))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", "[" * 1_000_000),
        ("deep.json", '{"a":' * 101 + "1" + "}" * 101),
        ("deep.xml", "<a>" * 1_000_000),
        ("deep.xml", "<a>" * 300 + "x" + "</a>" * 300),
        ("broken.json", "{'a': 1}"),
        ("broken.xml", "<a><b></a>"),
        ("empty.json", " "),
    ],
)
def test_deep_nesting_and_broken_texts_are_errors_of_that_file(read, name, content):
    with pytest.raises(DamagedDocument):
        read(name, content)


def test_long_keys_are_not_multiplied_without_end(read):
    with pytest.raises(DocumentLimit, match="characters"):
        read("keys.json", f'{{"{"k" * 1_000_000}": [{"[[]]," * 10_000}1]}}')


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(LEAVES, lambda each: st.lists(each) | st.dictionaries(st.text(max_size=9), each), max_leaves=20)


def texts_of(value):
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts_of(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts_of(each)]
    return [value.strip()] if isinstance(value, str) else []


@given(VALUES)
@settings(deadline=None)
def test_no_text_of_a_json_value_is_lost(value):
    found = json.parse(stdlib_json.dumps(value).encode()).pages[0]
    assert all(text in found for text in texts_of(value))


@given(st.lists(st.lists(st.text("ab ,;|\"'\n", max_size=5), min_size=2, max_size=4), min_size=3, max_size=8))
@settings(deadline=None)
def test_no_word_of_a_quoted_table_is_lost(rows):
    content = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    kept = csv._table(content, ",", 0).replace("\\|", "|")
    for row in rows:
        for cell in row:
            assert " ".join(cell.split()) in kept


@given(
    st.sampled_from(sorted(PARSERS)),
    st.binary(max_size=200) | st.text("<>/?!&;[]{}:,\"'\\ \n\t=aé1", max_size=60).map(str.encode),
)
@example("xml", b"<?xml version='1.0' encoding='cp037'?><a/>")
@example("json", b'"\\ud800"')
@example("csv", b"\0,\0")
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_read_or_are_typed_errors(kind, data):
    try:
        parsed = PARSERS[kind].parse(data)
    except DocumentError:
        return
    assert all(isinstance(page, str) for page in parsed.pages)


@given(st.lists(st.tuples(st.sampled_from(["creator", "created", "keywords", "subject", "x"]), st.text())))
def test_properties_are_always_metadata_that_filters_take(pairs):
    assert check_metadata(properties(pairs)) == properties(pairs)


def test_front_matter_and_meta_elements_are_metadata(read):
    front = "title: Notes\nauthor: 'Ann Lee'\ntags: [ducks, \"lakes\"]\ndate: 2026-05-31\nnested:\n  date: 1\n"
    assert read("note.md", f"---\n{front}---\n\nText\n").metadata == {
        "author": "Ann Lee",
        "created": "2026-05-31",
        "created_year": 2026,
        "keywords": ("ducks", "lakes"),
    }
    page = '<meta name="Author" content="Ann"><meta name="viewport" content="x"><meta charset="utf-8"><p>Text'
    assert read("page.html", page).metadata == {"author": "Ann"}
    assert read("plain.txt", "author: Ann").metadata == {}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {"": "x"},
        {"title": "x"},
        {"a b": 1},
        {"a": None},
        {"a": {"b": 1}},
        {"a": [1]},
        {"a": "x" * 2000},
        {"a": 2**70},
    ],
)
def test_metadata_of_a_parser_that_was_taken_over_is_nonsense(metadata):
    reply = {"pages": ["Hello"], "title": "", "metadata": metadata}
    with pytest.raises(DamagedDocument, match="nonsense"):
        process._parsed(reply, "loading a", "a")
    assert process._parsed(reply | {"metadata": {"a": ["b"]}}, "loading a", "a").metadata == {"a": ("b",)}

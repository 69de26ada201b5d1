"""An exported knowledge base is the same elsewhere, in any store; a file that was tampered with is refused."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoder.errors import HearthError, UsageError
from rag.index import index
from rag.labels import Labels
from rag.manifest import dump, parse
from rag.settings import RagSettings
from rag.sparse import sparse_query
from rag.store import open_store
from rag.transfer import export_index, import_index
from rag.verify import verify


@pytest.fixture
def exported(tmp_path, store, embedder):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Roses\n\nRoses grow beside the wall. Über 3 µm.")
    (docs / "copy.md").write_text("# Roses\n\nRoses grow beside the wall. Über 3 µm.")
    (docs / "b.txt").write_text("Ships need wind. " * 100)
    index([docs], store, embedder, labels=Labels("acme", ("user:ann",), {"year": 2020, "tags": ("x", "y")}))
    store.refresh()
    file = tmp_path / "kb.hearth"
    export_index(store, file)
    return file


def another(tmp_path, engine="edge", name="other"):
    return open_store(name, RagSettings(store=engine, index_folder=str(tmp_path / "elsewhere")))


@pytest.mark.parametrize("engine", ["edge", "memory"])
def test_an_index_is_the_same_elsewhere(tmp_path, store, exported, embedder, engine):
    other = another(tmp_path, engine)
    import_index(other, exported)
    other.refresh()
    assert other.manifest().documents == store.manifest().documents
    assert verify(other) == []

    def content(opened):
        return sorted(((p.passage, p.dense) for p in opened.points()), key=lambda pair: pair[0].id)

    assert [c[0] for c in content(other)] == [c[0] for c in content(store)]
    assert np.allclose([c[1] for c in content(other)], [c[1] for c in content(store)], atol=1e-4)
    look = sparse_query("roses wind")
    assert [p.id for p, _ in other.search_sparse(look, 9)] == [p.id for p, _ in store.search_sparse(look, 9)]


def test_nothing_is_overwritten_unless_asked_for(tmp_path, store, exported):
    with pytest.raises(UsageError, match="exists"):
        export_index(store, exported)
    with pytest.raises(UsageError, match="exists"):
        import_index(store, exported)
    import_index(store, exported, replace_it=True)
    assert sorted(path.name for path in exported.parent.glob("*kb.hearth*")) == ["kb.hearth"]


def rewritten(exported, name, change):
    """The same file with one member changed."""
    with zipfile.ZipFile(exported) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members[name] = change(members[name])
    file = exported.with_name("changed.hearth")
    with zipfile.ZipFile(file, "w") as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return file


def passage_change(**values):
    def change(data):
        rows = [json.loads(line) for line in data.splitlines()]
        next(row for row in rows if row["passages"])["passages"][0].update(values)
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    return change


def manifest_change(data):
    manifest = parse(data)
    return dump(manifest).replace('"chunk_tokens": 220', '"chunk_tokens": 221').encode()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("manifest.json", manifest_change),
        ("manifest.json", lambda data: b"{}"),
        ("documents.jsonl", lambda data: data.replace(b"wall", b"well")),
        ("documents.jsonl", lambda data: data + data.splitlines()[0]),
        ("documents.jsonl", lambda data: b"\n".join(data.splitlines()[1:])),
        ("documents.jsonl", lambda data: b"[" * 100_000),
        ("documents.jsonl", lambda data: b"3\n"),
        ("documents.jsonl", passage_change(text="Something else.")),
        ("documents.jsonl", passage_change(start=-1)),
        ("documents.jsonl", passage_change(readers=[])),
        ("documents.jsonl", passage_change(tenant="other")),
        ("documents.jsonl", passage_change(source="/etc/passwd")),
        ("documents.jsonl", passage_change(surprise=1)),
        ("documents.jsonl", passage_change(id="no uuid")),
        ("vectors.f32", lambda data: data[:-4]),
        ("vectors.f32", lambda data: data + b"\0\0\0\0"),
        ("vectors.f32", lambda data: b"\xff" * len(data)),
        ("extra.pickle", lambda data: b"cos\nsystem\n"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(tmp_path, exported, name, change):
    if name == "extra.pickle":
        with zipfile.ZipFile(exported, "a") as archive:
            archive.writestr(name, change(b""))
        file = exported
    else:
        file = rewritten(exported, name, change)
    other = another(tmp_path)
    with pytest.raises(HearthError) as caught:
        import_index(other, file)
    assert type(caught.value).__name__ in ("UsageError", "StoreFailed")
    assert other.refresh() is False


@given(position=st.integers(0, 10_000), junk=st.binary(min_size=1, max_size=30))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damaged_byte_is_a_typed_error_or_no_change(tmp_path, exported, position, junk):
    data = bytearray(exported.read_bytes())
    data[position % len(data) : position % len(data) + len(junk)] = junk
    file = exported.with_name("damaged.hearth")
    file.write_bytes(bytes(data))
    other = another(tmp_path, "memory")
    try:
        import_index(other, file)
    except HearthError:
        assert other.refresh() is False
    else:
        assert verify(other) == []
    file.unlink()

"""Every store keeps these promises, whatever engine is behind it."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from decoder.errors import UsageError
from rag.errors import IndexLocked, IndexNotFound, StoreFailed
from rag.filters import Where
from rag.manifest import Manifest
from rag.settings import RagSettings
from rag.sparse import SparseVector, sparse_documents, sparse_query
from rag.store import list_indexes, open_store

FACTS = {
    "hearth.md": ["The hearth is built of granite.", "Smoke leaves through the chimney."],
    "garden.md": ["Roses grow beside the wall.", "The gardener waters roses daily."],
    "ships.md": ["Sailing ships need wind."],
}


def manifest_for(embedder):
    return Manifest(embedder.name, embedder.dimension, embedder.sha256, 180, 30)


def texts(found):
    return [passage.text for passage, _ in found]


def test_an_index_that_was_never_written_is_not_found(store):
    assert store.refresh() is False
    for look in (store.manifest, store.count, lambda: store.text("a.md"), lambda: store.passages([])):
        with pytest.raises(IndexNotFound, match="Index some documents first"):
            look()


def test_a_passage_comes_back_whole(store, write, embedder, make_passage):
    passage = make_passage("Über 3 µm – “quoted” 漢字", "päth/a.pdf", page=3, heading=("One", "Two"), content_hash="ab")
    with store.generation(embedder.dimension) as writer:
        writer.upsert([passage], embedder.embed([passage.text]), sparse_documents([passage.text]))
        manifest = manifest_for(embedder)
        entry = {"päth/a.pdf": _entry(writer.put_text("x"))}
        writer.commit(Manifest(manifest.embedder, 64, manifest.sha256, 180, 30, entry))
    assert store.passages([passage.id]) == [passage]
    assert store.search_dense(embedder.embed_query(passage.text), 1)[0][0] == passage


def _entry(text):
    from rag.manifest import DocumentEntry

    return DocumentEntry("0" * 64, text, 1, "", 0, 0, "/x")


def test_dense_search_is_exact_cosine_best_first(store, write, embedder):
    write(store, FACTS)
    query = embedder.embed_query("roses beside a wall")
    found = store.search_dense(query, 10)
    everything = [text for part in FACTS.values() for text in part]
    cosines = embedder.embed(everything) @ query
    assert texts(found) == [everything[i] for i in np.argsort(-cosines)]
    assert [score for _, score in found] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)


def test_sparse_search_stems_and_ignores_stop_words(store, write):
    write(store, FACTS)
    assert texts(store.search_sparse(sparse_query("a watered rose"), 10)) == [
        "The gardener waters roses daily.",
        "Roses grow beside the wall.",
    ]
    assert store.search_sparse(sparse_query("the of and"), 10) == []
    assert store.search_sparse(SparseVector((), ()), 10) == []


def test_rarer_terms_weigh_more(store, write):
    write(store, {"a": ["stone wood", "stone iron"], "b": ["stone clay", "stone"], "c": ["lime"]})
    found = {passage.text: score for passage, score in store.search_sparse(sparse_query("stone lime"), 9)}
    assert found["lime"] > found["stone"]


def test_limit_and_sources_narrow_a_search(store, write, embedder):
    write(store, FACTS)
    query, terms = embedder.embed_query("roses granite wind"), sparse_query("roses granite wind")
    assert len(store.search_dense(query, 2)) == 2
    garden, both = (Where().and_sources(names) for names in (["garden.md"], ["garden.md", "ships.md"]))
    for found in (store.search_dense(query, 9, garden), store.search_sparse(terms, 9, garden)):
        assert {passage.source for passage, _ in found} == {"garden.md"}
    assert {p.source for p, _ in store.search_dense(query, 9, both)} == {"garden.md", "ships.md"}
    assert store.search_dense(query, 9, Where().and_sources(["unknown.md"])) == []


def test_passages_come_in_the_order_asked_for_without_unknown_ones(store, write, embedder):
    write(store, FACTS)
    ids = [passage.id for passage, _ in store.search_dense(embedder.embed_query("roses"), 9)]
    asked = [ids[3], "no-uuid", ids[0], "00000000-0000-5000-8000-000000000000"]
    assert [passage.id for passage in store.passages(asked)] == [ids[3], ids[0]]


def test_texts_are_kept_and_unknown_sources_refused(store, write):
    write(store, {"a.md": ["one", "two"], "b.md": [""]})
    assert store.text("a.md") == "one\ntwo"
    assert store.text("b.md") == ""
    with pytest.raises(UsageError, match=r"'c\.md' is not in this knowledge base"):
        store.text("c.md")


def test_upsert_replaces_by_id(store, write):
    write(store, {"a.md": ["one"]})
    write(store, {"a.md": ["one"]})
    assert store.count() == 1


def test_deleting_a_source_leaves_the_others(store, write, embedder):
    write(store, FACTS)
    write(store, {}, delete=["garden.md"])
    assert store.count() == 3
    assert "garden.md" not in store.manifest().documents
    assert {p.source for p, _ in store.search_dense(embedder.embed_query("roses"), 9)} == {"hearth.md", "ships.md"}


def test_a_fresh_generation_starts_from_nothing(store, write):
    write(store, FACTS)
    write(store, {"new.md": ["brand new"]}, fresh=True)
    assert store.count() == 1
    assert list(store.manifest().documents) == ["new.md"]


def test_leaving_without_commit_changes_nothing(store, write, embedder, make_passage):
    before = write(store, FACTS)
    with store.generation(embedder.dimension) as writer:
        writer.delete_source("garden.md")
        writer.upsert([make_passage("gone")], embedder.embed(["gone"]), sparse_documents(["gone"]))
    with pytest.raises(KeyboardInterrupt), store.generation(embedder.dimension) as writer:
        writer.delete_source("hearth.md")
        raise KeyboardInterrupt
    assert store.refresh()
    assert store.manifest() == before
    assert store.count() == 5


def test_until_the_commit_the_old_generation_answers(store, write, embedder):
    write(store, FACTS)
    with store.generation(embedder.dimension) as writer:
        writer.delete_source("garden.md")
        store.refresh()
        assert store.count() == 5


def test_there_is_one_writer_at_a_time(store, embedder):
    with (
        store.generation(embedder.dimension),
        pytest.raises(IndexLocked, match="another process is writing kb"),
        store.generation(embedder.dimension),
    ):
        pass
    store.generation(embedder.dimension).discard()


def test_a_wrong_dimension_is_a_typed_error(store, write, embedder, make_passage):
    write(store, FACTS)
    with store.generation(embedder.dimension) as writer, pytest.raises(StoreFailed, match="writing the index"):
        writer.upsert([make_passage("x")], np.zeros((1, 3), dtype=np.float32), sparse_documents(["x"]))
    assert store.count() == 5


def test_threads_search_while_a_writer_switches(store, write, embedder):
    write(store, FACTS)
    query, stop, wrong = embedder.embed_query("roses wall"), threading.Event(), []

    def search():
        while not stop.is_set():
            store.refresh()
            sources = {passage.source for passage, _ in store.search_dense(query, 9)}
            if "hearth.md" not in sources:
                wrong.append(sources)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(search) for _ in range(3)]
        for turn in range(5):
            write(store, {f"new{turn}.md": [f"fact {turn}"]})
        stop.set()
        for future in running:
            future.result(timeout=20)
    assert not wrong
    assert store.count() == 10


def test_a_deleted_index_is_gone(store, write):
    write(store, FACTS)
    store.delete()
    assert store.refresh() is False
    with pytest.raises(IndexNotFound):
        store.delete()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a.b", "x" * 65, "a\n", "é"])
def test_names_that_could_leave_the_folder_are_refused(name):
    with pytest.raises(UsageError, match="cannot be a name"):
        open_store(name, RagSettings())


def test_indexes_are_listed(tmp_path, write):
    settings = RagSettings(index_folder=str(tmp_path))
    assert list_indexes(settings) == []
    for name in ("two", "one"):
        write(open_store(name, settings), {"a.md": ["x"]})
    assert list_indexes(settings) == ["one", "two"]


# What only the folder on disk can show.


@pytest.fixture
def folder(tmp_path, write):
    settings = RagSettings(index_folder=str(tmp_path))
    write(open_store("kb", settings), FACTS)
    return tmp_path / "kb"


def reopened(folder):
    return open_store("kb", RagSettings(index_folder=str(folder.parent)))


def test_an_index_outlives_its_process(folder):
    script = (
        "import sys; from rag.store_edge import EdgeStore; from pathlib import Path;"
        "s = EdgeStore(Path(sys.argv[1])); print(s.count(), s.text('ships.md'))"
    )
    run = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60)
    assert run.stdout == "5 Sailing ships need wind.\n", run.stderr


def test_a_reader_keeps_its_generation_until_it_leaves(folder, write):
    reader, writer = reopened(folder), reopened(folder)
    assert reader.count() == 5
    write(writer, {"new.md": ["new"]})
    assert (reader.count(), writer.count()) == (5, 6)
    assert reader.text("ships.md") == "Sailing ships need wind."
    assert len(list((folder / "generations").iterdir())) == 2
    reader.refresh()
    assert reader.count() == 6
    write(writer, {"newer.md": ["newer"]})
    reader.close()
    write(writer, {}, delete=["newer.md"])
    assert len(list((folder / "generations").iterdir())) == 1


def test_what_a_killed_writer_left_is_removed(folder, write, embedder):
    left = folder / "generations" / "000009-deadbeef"
    (left / "shard").mkdir(parents=True)
    store = reopened(folder)
    assert store.count() == 5
    write(store, {"new.md": ["new"]})
    assert not left.exists()


def test_deleted_passages_do_not_pile_up(folder, write):
    store = reopened(folder)
    many = {"many.md": [f"word{i} fact" for i in range(600)]}
    write(store, many)
    for turn in range(4):
        write(store, {"many.md": [f"word{i} turn{turn}" for i in range(600)]}, delete=["many.md"])
    assert store.count() == 605
    used = sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())
    assert used < 4_000_000


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.update(generation="../../evil"),
        lambda body: body["documents"]["ships.md"].update(text="../../../etc/passwd"),
        lambda body: body.update(dimension="64"),
        lambda body: body.pop("documents"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(folder, damage):
    path = folder / "manifest.json"
    body = json.loads(path.read_text())
    damage(body)
    path.write_text(json.dumps(body))
    with pytest.raises(StoreFailed, match="the manifest is damaged"):
        reopened(folder).refresh()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": 1}', b"[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_refused(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(StoreFailed, match="opening the knowledge base"):
        reopened(folder).refresh()


def test_damaged_files_are_typed_errors(folder):
    store = reopened(folder)
    text = next(p for p in folder.glob("generations/*/texts/*") if p.read_text().startswith("Sailing"))
    text.write_text("Sailing ships need engines.")
    with pytest.raises(StoreFailed, match=r"the stored text of ships\.md is damaged"):
        store.text("ships.md")
    store.close()
    next(folder.glob("generations/*/shard/segments/*/segment.json")).write_text("{")
    with pytest.raises(StoreFailed, match="opening the knowledge base"):
        reopened(folder).refresh()


def test_missing_files_are_typed_errors(folder):
    import shutil

    shutil.rmtree(next(folder.glob("generations/*/shard/segments")))
    with pytest.raises((StoreFailed), match="opening the knowledge base"):
        reopened(folder).refresh()
    shutil.rmtree(next(folder.glob("generations/*")))
    with pytest.raises(StoreFailed, match="its files are missing"):
        reopened(folder).refresh()

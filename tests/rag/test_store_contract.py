"""Every store keeps these promises, whatever engine is behind it."""

import hashlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decoder.errors import UsageError
from rag.errors import IndexLocked, IndexMismatch, IndexNotFound, StoreFailed
from rag.filters import Access, Condition, Where
from rag.manifest import DocumentEntry, Manifest, parse
from rag.settings import GraphOptions, RagSettings
from rag.sparse import SparseVector, sparse_documents, sparse_query
from rag.store import list_indexes, open_store
from rag.store_edge import EdgeStore

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


def within(*sources):
    return Where().and_sources(sources)


def test_limit_and_sources_narrow_a_search(store, write, embedder):
    write(store, FACTS)
    query, terms = embedder.embed_query("roses granite wind"), sparse_query("roses granite wind")
    assert len(store.search_dense(query, 2)) == 2
    garden = within("garden.md")
    for found in (store.search_dense(query, 9, garden), store.search_sparse(terms, 9, garden)):
        assert {passage.source for passage, _ in found} == {"garden.md"}
    assert {p.source for p, _ in store.search_dense(query, 9, within("garden.md", "ships.md"))} == {
        "garden.md",
        "ships.md",
    }
    assert store.search_dense(query, 9, within("unknown.md")) == []


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


def test_a_document_that_is_written_again_is_replaced(store, write):
    write(store, {"a.md": ["one", "two"], "b.md": ["other"]})
    write(store, {"a.md": ["one", "three"]}, delete=["a.md"])
    assert {point.passage.text for point in store.points()} == {"one", "three", "other"}
    assert store.count() == 3


def test_points_come_with_their_vectors(store, write, embedder):
    write(store, FACTS)
    found = {point.passage.text: point for point in store.points(["garden.md", "ships.md"])}
    assert set(found) == {*FACTS["garden.md"], *FACTS["ships.md"]}
    for text, point in found.items():
        assert point.dense == pytest.approx(embedder.embed([text])[0], abs=1e-5)
        [expected] = sparse_documents([text])
        assert dict(zip(point.sparse.indices, point.sparse.values, strict=True)) == pytest.approx(
            dict(zip(expected.indices, expected.values, strict=True)), rel=1e-5
        )


def test_a_passage_without_a_dense_vector_is_found_by_its_words_and_gets_one_later(store, embedder, make_passage):
    passage, weights = make_passage("Roses grow."), sparse_documents(["Roses grow."])
    with store.generation(embedder.dimension) as writer:
        entry = DocumentEntry("0" * 64, writer.put_text("Roses grow."), 1, "", 0, 0, "/x")
        whole = replace(manifest_for(embedder), documents={"a.md": entry})
        writer.upsert([passage], None, weights)
        writer.commit(whole)
        store.refresh()
        assert texts(store.search_sparse(sparse_query("rose"), 9)) == ["Roses grow."]
        assert store.search_dense(embedder.embed_query("roses"), 9) == []
        assert [point.dense for point in store.points()] == [None]
        writer.delete_source(passage.source)
        writer.upsert([passage], embedder.embed([passage.text]), weights)
        writer.commit(whole)
    store.refresh()
    assert texts(store.search_dense(embedder.embed_query("roses"), 9)) == ["Roses grow."]
    assert texts(store.search_sparse(sparse_query("rose"), 9)) == ["Roses grow."]
    assert store.count() == 1


def test_a_writer_may_commit_several_times(store, embedder, make_passage):
    entries = {}
    with store.generation(embedder.dimension) as writer:
        for number in range(3):
            text = f"fact {number}"
            passage = make_passage(text, source=f"{number}.md")
            writer.upsert([passage], embedder.embed([text]), sparse_documents([text]))
            entries[passage.source] = DocumentEntry("0" * 64, writer.put_text(text), 1, "", 0, 0, f"/{number}")
            writer.commit(replace(manifest_for(embedder), documents=dict(entries)))
            assert store.refresh()
            assert store.count() == number + 1
        writer.delete_source("0.md")
    store.refresh()
    assert store.count() == 3
    assert store.text("2.md") == "fact 2"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition("author", any_of=("Ann",)), {"ann.md"}),
        (Condition("author", any_of=("Ann", "Bob")), {"ann.md", "bob.md"}),
        (Condition("author", none_of=("Ann",)), {"bob.md", "none.md"}),
        (Condition("year", any_of=(2020,)), {"ann.md"}),
        (Condition("year", any_of=("2020",)), set()),
        (Condition("year", at_least=2020.5), {"bob.md"}),
        (Condition("year", at_most=2021, at_least=2020), {"ann.md", "bob.md"}),
        (Condition("draft", any_of=(True,)), {"bob.md"}),
        (Condition("tags", any_of=("x",)), {"ann.md", "bob.md"}),
        (Condition("page", any_of=(3,)), {"ann.md"}),
        (Condition("page", at_least=4), {"bob.md"}),
        (Condition("media_type", any_of=("text/plain",)), {"none.md"}),
        (Condition("source", none_of=("none.md",)), {"ann.md", "bob.md"}),
    ],
)
def test_conditions_hold_inside_the_search(store, embedder, make_passage, condition, expected):
    known = {
        "ann.md": {"page": 3, "metadata": {"author": "Ann", "year": 2020, "tags": ("x", "y")}},
        "bob.md": {"page": 5, "metadata": {"author": "Bob", "year": 2021.0, "draft": True, "tags": ("x",)}},
        "none.md": {"media_type": "text/plain"},
    }
    passages = [make_passage("Roses grow.", source, **more) for source, more in known.items()]
    commit(store, embedder, passages)
    for found in both_searches(store, embedder, "roses", Where((condition,))):
        assert found == expected


def test_access_holds_inside_the_search(store, embedder, make_passage):
    owned = {
        "a-open.md": ("a", ()),
        "a-ann.md": ("a", ("user:ann",)),
        "a-staff.md": ("a", ("group:staff", "user:bob")),
        "b-open.md": ("b", ()),
        "no-tenant.md": ("", ()),
    }
    commit(
        store,
        embedder,
        [make_passage("Roses grow.", s, tenant=tenant, readers=readers) for s, (tenant, readers) in owned.items()],
    )
    for access, expected in (
        (Access("a"), {"a-open.md"}),
        (Access("a", ("user:ann",)), {"a-open.md", "a-ann.md"}),
        (Access("a", ("user:ann", "group:staff")), {"a-open.md", "a-ann.md", "a-staff.md"}),
        (Access("b", ("user:ann",)), {"b-open.md"}),
        (Access("c"), set()),
        (Access(), {"no-tenant.md"}),
        (None, set(owned)),
    ):
        for found in both_searches(store, embedder, "roses", Where(access=access)):
            assert found == expected


def commit(store, embedder, passages):
    entries = {}
    with store.generation(embedder.dimension) as writer:
        writer.upsert(
            passages, embedder.embed([p.text for p in passages]), sparse_documents([p.text for p in passages])
        )
        for passage in passages:
            text = writer.put_text(passage.text)
            entries[passage.source] = DocumentEntry("0" * 64, text, 1, "", 0, 0, f"/{passage.source}")
        writer.commit(replace(manifest_for(embedder), documents=entries))
    store.refresh()


def both_searches(store, embedder, query, where):
    yield {p.source for p, _ in store.search_dense(embedder.embed_query(query), 9, where)}
    yield {p.source for p, _ in store.search_sparse(sparse_query(query), 9, where)}


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
    chosen = RagSettings(index_folder=str(tmp_path))
    assert list_indexes(chosen) == []
    for name in ("two", "one"):
        write(open_store(name, chosen), {"a.md": ["x"]})
    assert list_indexes(chosen) == ["one", "two"]


# What only the folder on disk can show.


@pytest.fixture
def folder(tmp_path, write):
    chosen = RagSettings(index_folder=str(tmp_path))
    write(open_store("kb", chosen), FACTS)
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
    left = [folder / "generations" / "000009-deadbeef", folder / "shards" / "000010-deadbeef"]
    for each in left:
        (each / "shard").mkdir(parents=True)
    store = reopened(folder)
    assert store.count() == 5
    write(store, {"new.md": ["new"]})
    assert not any(each.exists() for each in left)


def used(folder):
    return sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())


def test_deleted_passages_do_not_pile_up(folder, write):
    store = reopened(folder)
    many = {"many.md": [f"word{i} fact" for i in range(600)]}
    write(store, many)
    for turn in range(4):
        write(store, {"many.md": [f"word{i} turn{turn}" for i in range(600)]}, delete=["many.md"])
    assert store.count() == 605
    assert used(folder) < 6_000_000


def test_a_small_change_writes_little_and_shards_do_not_pile_up(folder, write):
    store = reopened(folder)
    write(store, {"many.md": [f"word{i} fact" for i in range(3000)]})
    large = max(store.manifest().shards, key=lambda shard: shard.passages)
    for turn in range(20):
        before = {path.name for path in (folder / "shards").iterdir()}
        write(store, {f"{turn}.md": [f"small {turn}"]})
        written = {path.name for path in (folder / "shards").iterdir()} - before
        assert sum(used(folder / "shards" / name) for name in written) < used(folder / "shards" / large.name) / 4
        assert len(store.manifest().shards) <= 9
    assert large in store.manifest().shards
    assert store.count() == 3025


def test_scores_do_not_depend_on_how_many_shards_there_are(tmp_path, write, embedder):
    many, one = (open_store(name, RagSettings(index_folder=str(tmp_path))) for name in ("many", "one"))
    for source, part in FACTS.items():
        write(many, {source: part})
    write(many, {"gone.md": ["Roses and granite and wind."]})
    write(many, {}, delete=["gone.md"])
    write(one, FACTS)
    assert (len(many.manifest().shards), len(one.manifest().shards)) == (3, 1)
    for look in (
        lambda store: store.search_dense(embedder.embed_query("roses wind"), 9),
        lambda store: store.search_sparse(sparse_query("the gardener of roses has wind"), 9),
    ):
        assert texts(look(many)) == texts(look(one))
        assert [score for _, score in look(many)] == pytest.approx([score for _, score in look(one)], rel=1e-5)


def tampered(path, damage, seal=True):
    """Change the manifest in a file, with a checksum that fits when `seal`."""
    body = json.loads(path.read_text())["body"]
    damage(body)
    text = json.dumps(body)
    checksum = hashlib.sha256(text.encode()).hexdigest() if seal else "0" * 64
    path.write_text(f'{{"checksum": "{checksum}", "body": {text}}}')


@pytest.mark.parametrize("seal", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.update(generation="../../evil"),
        lambda body: body["shards"][0].update(name="../../../etc"),
        lambda body: body["shards"][0].update(gone=[1]),
        lambda body: body["documents"]["ships.md"].update(metadata={"no key": 1}),
        lambda body: body["documents"]["ships.md"].update(pending="yes"),
        lambda body: body.update(dimension="64"),
        lambda body: body.pop("documents"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(folder, damage, seal):
    tampered(folder / "manifest.json", damage, seal)
    with pytest.raises(StoreFailed, match="the manifest is damaged"):
        reopened(folder).refresh()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": 1}', b"[" * 100_000])
def test_a_manifest_that_is_no_manifest_is_refused(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(StoreFailed, match="opening the knowledge base"):
        reopened(folder).refresh()


@given(junk=st.binary(max_size=40), position=st.integers(0, 4000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_a_manifest_is_noticed(folder, junk, position):
    whole = (folder / "generations" / reopened(folder).manifest().generation / "manifest.json").read_bytes()
    damaged = whole[: position % len(whole)] + junk + whole[position % len(whole) + len(junk) :]
    assert parse(whole) == reopened(folder).manifest()
    if damaged != whole:
        with pytest.raises((StoreFailed, IndexMismatch)):
            parse(damaged)


def test_a_large_shard_is_given_a_graph_that_finds_nearly_all(tmp_path, make_passage):
    store = EdgeStore(tmp_path / "kb", GraphOptions(above=2000, m=16, ef_construct=100, ef=128))
    random = np.random.default_rng(7)
    centres = random.standard_normal((40, 64))
    vectors = centres[random.integers(40, size=3000)] + 0.7 * random.standard_normal((3000, 64))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    names = [f"word{number}" for number in range(3000)]
    passages = [make_passage(name, "a.md", number) for number, name in enumerate(names)]
    with store.generation(64) as writer:
        writer.upsert(passages, vectors, sparse_documents(names))
        entry = DocumentEntry("0" * 64, writer.put_text("x"), 3000, "", 0, 0, "/a.md")
        writer.commit(Manifest("words", 64, "0" * 64, 180, 30, {"a.md": entry}))
    [shard] = store.manifest().shards
    assert shard.graph
    found = 0
    for query in vectors[::100]:
        exact = {names[i] for i in np.argsort(-(vectors @ query))[:10]}
        found += len(exact & set(texts(store.search_dense(query, 10))))
    assert found / 300 >= 0.95
    assert texts(store.search_sparse(sparse_query("word77"), 5)) == ["word77"]
    with store.generation(64) as writer:
        writer.delete_source("a.md")
        writer.upsert(passages[:10], vectors[:10], sparse_documents(names[:10]))
        writer.commit(replace(store.manifest(), documents={"a.md": replace(entry, passages=10)}))
    store.refresh()
    assert [shard.graph for shard in store.manifest().shards] == [False]
    assert store.count() == 10


def test_a_newer_schema_is_refused_with_the_remedy(folder):
    (folder / "manifest.json").write_text('{"schema": 99, "checksum": ""}')
    with pytest.raises(IndexMismatch, match=r"schema 99.*newer version"):
        reopened(folder).refresh()


def damage_text(folder, body):
    with sqlite3.connect(folder / "texts.sqlite") as connection:
        connection.execute("UPDATE texts SET body = ? WHERE CAST(body AS TEXT) LIKE 'Sailing%'", (body,))
    connection.close()


def test_damaged_texts_are_typed_errors(folder):
    store = reopened(folder)
    damage_text(folder, b"Sailing ships need engines.")
    with pytest.raises(StoreFailed, match=r"the stored text of ships\.md is damaged"):
        store.text("ships.md")
    damage_text(folder, "no bytes")
    with pytest.raises(StoreFailed, match="its text is missing"):
        store.text("ships.md")
    for path in folder.glob("texts.sqlite*"):
        path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreFailed, match="opening a document"):
        store.text("ships.md")


def files_of(folder):
    return sorted(path for path in folder.glob("shards/*/shard/**/*") if path.is_file() and path.stat().st_size)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_shard_files_are_typed_errors(folder, seed):
    choose = random.Random(seed)
    path = choose.choice([path for path in files_of(folder) if path.name != "edge_config.json"])
    with path.open("r+b") as file:
        file.seek(choose.randrange(path.stat().st_size))
        file.write(bytes([choose.randrange(1, 256)]) * 9)
    with pytest.raises(StoreFailed, match=r"the files of shard .* are damaged.*hearth kb repair"):
        reopened(folder).refresh()


def test_missing_files_are_typed_errors(folder):
    shutil.rmtree(next(folder.glob("shards/*/shard/segments")))
    with pytest.raises(StoreFailed, match="opening the knowledge base"):
        reopened(folder).refresh()
    next(folder.glob("generations/*/terms.npy")).write_bytes(b"\x93NUMPY no")
    with pytest.raises(StoreFailed, match="term counts"):
        reopened(folder).refresh()
    shutil.rmtree(next(folder.glob("generations/*")))
    with pytest.raises(StoreFailed, match="its files are missing"):
        reopened(folder).refresh()

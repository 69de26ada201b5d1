"""An index that is damaged says so, and is mended from the files; nobody gets to read more than before."""

import random
import shutil
import sqlite3

import numpy as np
import pytest

from rag import KnowledgeBase
from rag.errors import IndexNotFound, StoreFailed
from rag.index import index, index_documents
from rag.labels import Labels
from rag.repair import repair
from rag.sparse import sparse_query
from rag.store_edge import EdgeStore
from rag.types import Document
from rag.verify import verify

PRIVATE = Labels("acme", ("user:ann",), {"year": 2020})


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.md").write_text(f"# Number {number}\n\nThe lighthouse {number} has {number} stairs.")
    return folder


@pytest.fixture
def store(tmp_path, docs, embedder):
    opened = EdgeStore(tmp_path / "kb")
    for path in sorted(docs.iterdir())[:3]:
        index([path], opened, embedder)
    index([docs / "3.md", docs / "4.md"], opened, embedder, labels=PRIVATE)
    index([docs / "5.md"], opened, embedder)
    return opened


def whole(store):
    store.refresh()
    assert verify(store) == []
    assert len(store.manifest().documents) == 6
    assert {p.source[-4:] for p, _ in store.search_sparse(sparse_query("lighthouse"), 9)} == {
        f"{number}.md" for number in range(6)
    }
    readers = {p.passage.source[-4:]: (p.passage.tenant, p.passage.readers) for p in store.points()}
    assert readers["3.md"] == readers["4.md"] == ("acme", ("user:ann",))
    assert readers["0.md"] == ("", ())


def shards(store):
    return sorted((store.folder / "shards").iterdir())


def garble(path, seed=0):
    choose = random.Random(seed)
    with path.open("r+b") as file:
        for _ in range(20):
            file.seek(choose.randrange(path.stat().st_size))
            file.write(bytes([choose.randrange(1, 256)]) * 64)


def lose_manifest(store):
    (store.folder / "manifest.json").write_text("{")


def lose_a_shard(store):
    shutil.rmtree(shards(store)[3])


def garble_shards(store):
    for folder in shards(store)[::2]:
        garble(max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size))


def lose_texts(store):
    for path in store.folder.glob("texts.sqlite*"):
        path.write_bytes(b"nothing" * 1000)


def lose_one_text(store):
    with sqlite3.connect(store.folder / "texts.sqlite") as connection:
        connection.execute("DELETE FROM texts WHERE CAST(body AS TEXT) LIKE '%lighthouse 4%'")
    connection.close()


def lose_terms(store):
    next(store.folder.glob("generations/*/terms.npy")).write_bytes(b"")


DAMAGE = [lose_manifest, lose_a_shard, garble_shards, lose_texts, lose_one_text, lose_terms]


def test_a_whole_index_has_no_problems_and_a_repair_changes_nothing(store, embedder):
    whole(store)
    before = store.manifest()
    report = repair(store, embedder)
    assert (report.problems, report.lost, report.report.added) == ((), (), ())
    store.refresh()
    assert store.manifest() == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_damage_is_mended_from_the_files(store, embedder, damage):
    damage(store)
    store.close()
    mended = EdgeStore(store.folder)
    report = repair(mended, embedder)
    assert report.problems
    assert report.lost == ()
    whole(EdgeStore(store.folder))
    assert repair(EdgeStore(store.folder), embedder).problems == ()


def test_everything_at_once(store, embedder):
    for damage in DAMAGE:
        damage(store)
        store.close()
        repair(EdgeStore(store.folder), embedder)
    whole(EdgeStore(store.folder))


def test_what_has_no_file_any_more_is_lost_and_said_to_be(store, docs, embedder):
    page = Document("https://example.org/a", "A page about whales.", "ab" * 32, "text/html")
    index_documents([page], store, embedder)
    store.refresh()
    (docs / "1.md").unlink()
    lose_texts(store)
    report = repair(EdgeStore(store.folder), embedder)
    assert sorted(name[-4:] for name in report.lost) == ["1.md", "rg/a"]
    mended = EdgeStore(store.folder)
    assert verify(mended) == []
    assert len(mended.manifest().documents) == 5


def test_an_index_without_any_manifest_is_beyond_repair(store, embedder):
    for path in store.folder.glob("**/manifest.json"):
        path.write_text("")
    with pytest.raises(StoreFailed, match=r"no manifest of it can be read.*rebuild"):
        repair(EdgeStore(store.folder), embedder)
    with pytest.raises(IndexNotFound):
        repair(EdgeStore(store.folder.parent / "never"), embedder)


def test_what_verify_looks_at(store, embedder):
    """Damage that only a writer with a bug could do: the files are as they were sealed."""
    store.refresh()
    first, second, *_ = [point.passage for point in store.points()]
    from dataclasses import replace

    from rag.sparse import sparse_documents

    wrong = replace(first, text="Something else.", tenant="other")
    orphan = replace(second, source="orphan.md")
    vectors = np.full((2, embedder.dimension), 7, dtype=np.float32)
    with store.generation(embedder.dimension) as writer:
        writer.delete_source(first.source)
        writer.upsert([wrong, orphan], vectors, sparse_documents([wrong.text, orphan.text]))
        entry = replace(store.manifest().documents[first.source], passages=2)  # the orphan's is counted with it
        writer.commit(replace(store.manifest(), documents={**store.manifest().documents, first.source: entry}))
    whats = {problem.what for problem in verify(store)}
    assert "a passage is not what stands in the text" in whats
    assert "a passage has other readers than its document" in whats
    assert "1 passages are there, not 2" in whats
    assert "1 passages belong to no document" in whats


def test_removing_does_not_undo_what_another_process_wrote(docs, tmp_path, embedder):
    """Between the look at the index and the lock on it somebody else may write."""
    base = KnowledgeBase("kb", home=tmp_path, embedder=embedder)
    base.add([docs / "0.md", docs / "1.md"])
    other = KnowledgeBase("kb", home=tmp_path, embedder=embedder)
    first = (docs / "0.md").as_posix()
    assert first in base.documents()
    other.add([docs / "2.md"])
    base.remove(first)
    assert {source[-4:] for source in base.documents()} == {"1.md", "2.md"}

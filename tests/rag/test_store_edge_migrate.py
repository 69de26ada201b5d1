"""An index of the first schema is brought to today's when it is opened; nothing is embedded again."""

import hashlib
import json

import pytest

from rag.errors import IndexLocked, IndexMismatch, StoreFailed
from rag.index import index
from rag.settings import RagSettings
from rag.sparse import sparse_documents, sparse_query
from rag.store_edge import EdgeStore
from rag.verify import verify

GENERATION = "000003-0123abcd"
TEXTS = {"hearth.md": "The hearth is built of granite.", "ships.md": "Sailing ships need wind."}


@pytest.fixture
def old(tmp_path, embedder):
    """The folder of an index as schema 1 wrote it."""
    import qdrant_edge as edge

    docs, kb = tmp_path / "docs", tmp_path / "kb"
    folder = kb / "generations" / GENERATION
    for each in (docs, folder / "shard", folder / "texts"):
        each.mkdir(parents=True)
    (folder / "readers.lock").touch()
    config = edge.EdgeConfig(
        vectors={"dense": edge.EdgeVectorParams(size=embedder.dimension, distance=edge.Distance.Cosine)},
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        wal_enabled=False,
    )
    shard = edge.EdgeShard.create(str(folder / "shard"), config)
    documents = {}
    for number, (name, text) in enumerate(TEXTS.items()):
        (docs / name).write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        (folder / "texts" / digest).write_text(text)
        key = f"00000000-0000-5000-8000-00000000000{number}"
        source = (docs / name).as_posix()
        payload = {
            "id": key, "text": text, "source": source, "title": name, "start": 0, "end": len(text), "line_start": 1,
            "line_end": 1, "page": None, "heading": [], "content_hash": digest,
        }  # fmt: skip
        [weights] = sparse_documents([text])
        vectors = {
            "dense": embedder.embed([text])[0].tolist(),
            "sparse": edge.SparseVector(list(weights.indices), list(weights.values)),
        }
        shard.update(edge.UpdateOperation.upsert_points([edge.Point(key, vectors, payload)]))
        documents[source] = {
            "hash": digest, "text": digest, "passages": 1, "title": name, "mtime_ns": 0, "size": len(text),
            "path": source, "duplicate_of": "",
        }  # fmt: skip
    shard.flush()
    shard.close()
    body = {
        "embedder": embedder.name, "dimension": embedder.dimension, "sha256": embedder.sha256, "chunk_tokens": 180,
        "chunk_overlap": 30, "documents": documents, "generation": GENERATION, "schema": 1,
    }  # fmt: skip
    write_manifest(kb, body)
    embedder.embedded.clear()
    return kb


def write_manifest(kb, body):
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    text = json.dumps({"checksum": hashlib.sha256(canonical.encode()).hexdigest(), **body}, indent=1)
    (kb / "manifest.json").write_text(text)


def test_it_answers_as_before_and_nothing_is_embedded_again(old, embedder):
    store = EdgeStore(old)
    assert store.count() == 2
    assert verify(store) == []
    assert [p.text for p, _ in store.search_sparse(sparse_query("granite hearth"), 5)] == [TEXTS["hearth.md"]]
    assert store.search_dense(embedder.embed_query("ships wind"), 1)[0][0].text == TEXTS["ships.md"]
    as_it_was_cut = RagSettings(chunk_tokens=180, chunk_overlap=30)
    assert index([old.parent / "docs"], store, embedder, settings=as_it_was_cut).unchanged == 2
    assert embedder.embedded == []
    assert not (old / "generations" / GENERATION).exists()


def test_an_interrupted_migration_leaves_the_old_index_for_the_next_try(old, monkeypatch):
    from rag import generations

    def fail(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generations, "write_manifest", fail)
        with pytest.raises(KeyboardInterrupt):
            EdgeStore(old).refresh()
    assert json.loads((old / "manifest.json").read_text())["schema"] == 1
    assert EdgeStore(old).count() == 2


def test_two_that_open_it_at_once_do_not_both_migrate(old):
    from rag import generations

    lock = generations.lock_writer(old)
    with pytest.raises(IndexLocked):
        EdgeStore(old).refresh()
    import os

    os.close(lock)
    assert EdgeStore(old).refresh()


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.update(generation="../../../etc"),
        lambda body: next(iter(body["documents"].values())).update(text="../../../../etc/passwd"),
        lambda body: body.pop("documents"),
        lambda body: body.update(documents=[]),
    ],
)
def test_a_tampered_old_manifest_is_refused(old, damage):
    body = json.loads((old / "manifest.json").read_text())
    body.pop("checksum")
    damage(body)
    write_manifest(old, body)
    with pytest.raises(StoreFailed, match="the manifest is damaged"):
        EdgeStore(old).refresh()


def test_an_unknown_schema_is_refused(old):
    write_manifest(old, {"schema": 7})
    with pytest.raises(IndexMismatch, match="newer version"):
        EdgeStore(old).refresh()

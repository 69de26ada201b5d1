"""What is Qdrant's own: versions side by side in one collection, options on the wire, errors of a server.

No Qdrant server runs here: an HTTP server on a loopback port speaks its interface over the client's memory store.
"""

import socket
import threading

import pytest

from decoder.errors import SettingsError
from rag.errors import IndexLocked, IndexMismatch, StoreFailed, StoreUnreachable
from rag.filters import Access, Condition, Where, parse_where, where
from rag.manifest import DocumentEntry, Manifest
from rag.settings import RagSettings
from rag.sparse import sparse_documents, sparse_query
from rag.store import list_indexes, open_store
from rag.store_qdrant import QdrantStore, connect
from rag.store_qdrant_lease import LEASE_SECONDS
from rag.store_qdrant_texts import PART

FACTS = {"hearth.md": ["The hearth is built of granite."], "garden.md": ["Roses grow here.", "They are watered daily."]}


@pytest.fixture
def settings(loopback):
    return RagSettings(store="qdrant", qdrant_url=loopback.url)


@pytest.fixture
def open_kb(settings):
    opened = []

    def open_kb(**more):
        opened.append(open_store("kb", settings if not more else RagSettings(store="qdrant", **more)))
        return opened[-1]

    yield open_kb
    for store in opened:
        store.close()


@pytest.fixture
def store(open_kb):
    return open_kb()


def all_points(loopback):
    """Payloads in the collection that answers, dead and unborn ones too."""
    name = next(a.collection_name for a in loopback.memory.get_aliases().aliases)
    return [point.payload for point in loopback.memory.scroll(name, limit=10_000)[0]]


def texts(loopback):
    name = next(a.collection_name for a in loopback.memory.get_aliases().aliases)
    records = loopback.memory.scroll(f"{name}.texts", limit=10_000)[0]
    return {r.payload["key"]: r.payload["text"] for r in records if "key" in r.payload}


def manifest(embedder, documents):
    return Manifest(embedder.name, embedder.dimension, embedder.sha256, 180, 30, documents)


def entry(text, passages=1):
    return DocumentEntry("0" * 64, text, passages, "Title", 0, 0, "/x")


# One collection, many generations.


def test_a_small_change_writes_little_and_keeps_the_collection(store, write, loopback):
    write(store, {f"{i}.md": [f"fact {i} {j}" for j in range(10)] for i in range(30)})
    name = loopback.memory.get_aliases().aliases[0].collection_name
    del loopback.requests[:]
    write(store, {"new.md": ["one more"]})
    assert loopback.memory.get_aliases().aliases[0].collection_name == name
    written = sum(len(body.get("points", [])) for method, _, body in loopback.requests if method == "PUT")
    written += sum(
        len(operation.get("upsert", {}).get("points", []))
        for _, path, body in loopback.requests
        if path.endswith("/batch")
        for operation in body["operations"]
    )
    assert written < 12  # the passage, its text, the manifest, the pointer, and the lock
    assert store.count() == 301


def test_a_reader_keeps_the_generation_it_holds(open_kb, write, embedder):
    reader, writer = open_kb(), open_kb()
    write(writer, FACTS)
    before = reader.manifest()
    write(writer, {"garden.md": ["Roses withered."], "new.md": ["new"]}, delete=["garden.md"])
    query, words = embedder.embed_query("roses"), sparse_query("roses")
    assert (reader.manifest(), reader.count()) == (before, 3)
    assert {p.text for p, _ in reader.search_dense(query, 9)} == {text for part in FACTS.values() for text in part}
    assert [p.text for p, _ in reader.search_sparse(words, 9)] == ["Roses grow here."]
    assert reader.text("garden.md") == "Roses grow here.\nThey are watered daily."
    assert len(reader.passages([p.id for p, _ in reader.search_dense(query, 9)])) == 3
    assert sum(1 for _ in reader.points()) == 3
    assert reader.refresh()
    assert {p.text for p, _ in reader.search_dense(query, 9)} == {FACTS["hearth.md"][0], "Roses withered.", "new"}
    assert writer.count() == sum(1 for _ in writer.points()) == 3


def test_what_no_reader_can_see_is_purged(store, write, loopback):
    write(store, FACTS)
    for turn in range(4):
        write(store, {"garden.md": [f"Roses {turn}."]}, delete=["garden.md"])
    stamps = [(p["text"], p["born"], p.get("died")) for p in all_points(loopback) if p["source"] == "garden.md"]
    assert sorted(stamps) == [("Roses 2.", 4, 5), ("Roses 3.", 5, None)]
    kept = texts(loopback)
    assert {text for key, text in kept.items() if not key.startswith("manifest:")} == {
        "The hearth is built of granite.", "Roses 2.", "Roses 3."
    }  # fmt: skip
    assert sum(key.startswith("manifest:") for key in kept) == 2


def test_the_same_passage_is_born_again_in_a_later_generation(store, write, loopback):
    write(store, FACTS)
    write(store, {}, delete=["garden.md"])
    write(store, {"garden.md": FACTS["garden.md"]})
    assert store.count() == 3
    write(store, {"garden.md": FACTS["garden.md"]}, delete=["garden.md"])  # read again and found unchanged
    assert store.count() == 3
    assert len(all_points(loopback)) == 3, "a passage that did not change needs no second version"


def test_a_changed_field_makes_a_new_version_for_new_readers_only(open_kb, write, embedder, make_passage):
    reader, writer = open_kb(), open_kb()
    open_to_all = make_passage("The salary is 900.", readers=())
    closed = make_passage("The salary is 900.", readers=("user:ann",))
    for passage in (open_to_all, closed):
        with writer.generation(embedder.dimension) as generation:
            generation.upsert([passage], embedder.embed([passage.text]), sparse_documents([passage.text]))
            generation.commit(manifest(embedder, {"a.md": entry(generation.put_text(passage.text))}))
        reader.refresh() if passage is open_to_all else None
    bob = Where(access=Access(principals=("user:bob",)))
    assert reader.passages([closed.id]) == [open_to_all]
    assert writer.passages([closed.id]) == [closed]
    assert writer.search_sparse(sparse_query("salary"), 5, bob) == []


def test_dense_vectors_may_follow_the_words(open_kb, write, embedder, make_passage, loopback):
    reader, writer = open_kb(), open_kb()
    passages = [make_passage(text, start=i) for i, text in enumerate(["granite hearth", "red roses"])]
    sparse, words = sparse_documents([p.text for p in passages]), sparse_query("roses")
    with writer.generation(embedder.dimension) as generation:
        generation.upsert(passages, None, sparse)
        kept = manifest(embedder, {"a.md": entry(generation.put_text("x"), 2)})
        generation.commit(kept)
        reader.refresh()
        assert [p.text for p, _ in reader.search_sparse(words, 5)] == ["red roses"]
        assert reader.search_dense(embedder.embed_query("roses"), 5) == []
        generation.upsert(passages, embedder.embed([p.text for p in passages]), sparse)
        assert [p.text for p, _ in reader.search_sparse(words, 5)] == ["red roses"], "it vanished for a reader"
        generation.commit(kept)
    assert [p.text for p, _ in reader.search_sparse(words, 5)] == ["red roses"]
    assert reader.refresh()
    assert next(p.text for p, _ in reader.search_dense(embedder.embed_query("roses"), 5)) == "red roses"
    assert len(all_points(loopback)) == 2
    stored = {point.passage.id: point for point in reader.points(["a.md"])}
    assert [stored[p.id].dense @ embedder.embed([p.text])[0] for p in passages] == pytest.approx([1, 1], abs=1e-5)


def test_a_writer_goes_on_with_the_next_generation(store, embedder, make_passage):
    with store.generation(embedder.dimension) as generation:
        known, numbers = {}, []
        for turn in range(3):
            passage = make_passage(f"fact {turn}", f"{turn}.md")
            generation.upsert([passage], embedder.embed([passage.text]), sparse_documents([passage.text]))
            known[passage.source] = entry(generation.put_text(passage.text))
            numbers.append(generation.commit(manifest(embedder, dict(known))).generation[:6])
            assert store.count() == turn + 1
        generation.delete_source("0.md")
    assert numbers == ["000001", "000002", "000003"]
    assert store.count() == 3, "what was not committed counts"


def test_a_killed_writer_is_undone_by_the_next(open_kb, write, embedder, make_passage, monkeypatch):
    dead, store = open_kb(), open_kb()
    write(store, FACTS)
    killed = dead.generation(embedder.dimension)  # never committed, never discarded
    killed.delete_source("garden.md")
    killed.upsert([make_passage("half")], embedder.embed(["half"]), sparse_documents(["half"]))
    killed.put_text("half")
    assert store.count() == 3
    with pytest.raises(IndexLocked):
        store.generation(embedder.dimension)
    now = __import__("time").time() + LEASE_SECONDS + 1
    monkeypatch.setattr("rag.store_qdrant_lease.time.time", lambda: now)
    write(store, {"new.md": ["new"]})
    assert store.count() == 4
    assert store.search_sparse(sparse_query("half"), 5) == []
    assert "half" not in store.manifest().documents
    killed._lease._renewed = -1e9
    with pytest.raises(IndexLocked, match="the lock ran out"):
        killed.upsert([make_passage("late")], embedder.embed(["late"]), sparse_documents(["late"]))
    killed.discard()
    assert store.count() == 4, "a writer that lost its lock undid another's work"


def test_a_fresh_generation_moves_the_alias_and_old_readers_stay(open_kb, write, loopback):
    reader, writer = open_kb(), open_kb()
    write(writer, FACTS)
    write(writer, {"more.md": ["more"]})
    assert reader.count() == 4
    write(writer, {"new.md": ["new"]}, fresh=True)
    assert (reader.count(), writer.count()) == (4, 1)
    assert reader.text("more.md") == "more"
    write(writer, {"newer.md": ["newer"]})
    assert len(loopback.memory.get_collections().collections) == 2
    assert reader.refresh()
    assert reader.count() == 2


def test_a_switch_that_was_written_but_not_acknowledged_is_kept(open_kb, write, embedder, loopback):
    store = open_kb()
    write(store, FACTS)
    known = dict(store.manifest().documents)

    def lose_the_answer(method, path, body):
        points = body.get("points") or [] if method == "PUT" and path.endswith(".texts/points") else []
        if points and "generation" in points[0]["payload"]:
            loopback._points(method, path.split("/")[2], "", body)
            loopback.faults.append(504)

    loopback.before = lose_the_answer
    with pytest.raises(StoreUnreachable), store.generation(embedder.dimension) as generation:
        generation.delete_source("garden.md")
        known.pop("garden.md")
        generation.commit(manifest(embedder, known))
    loopback.before = lambda *_: None
    store.refresh()
    assert (list(store.manifest().documents), store.count()) == (["hearth.md"], 1)
    write(store, {"new.md": ["new"]})
    assert store.count() == 2


def test_long_texts_and_manifests_are_cut_into_requests_that_fit(store, write, loopback):
    long = "".join(chr(0x4E00 + i % 5000) for i in range(2 * PART + 17))
    write(store, {"long.md": [long[:100]], "a.md": ["a"]})
    with store.generation(64) as generation:
        known = {**store.manifest().documents, "long.md": entry(generation.put_text(long))}
        from dataclasses import replace

        generation.commit(replace(store.manifest(), documents=known))
    assert store.text("long.md") == long
    assert store.text("a.md") == "a"


def test_an_index_of_an_older_version_asks_for_a_rebuild(store, write, loopback):
    from qdrant_client import models

    write(store, FACTS)
    name = loopback.memory.get_aliases().aliases[0].collection_name
    from rag.store_qdrant_texts import POINTER

    loopback.memory.upsert(f"{name}.texts", [models.PointStruct(id=POINTER, vector={}, payload={"manifest": "{}"})])
    with pytest.raises(IndexMismatch, match="rebuild"):
        store.refresh()
    write(store, {"new.md": ["new"]}, fresh=True)
    assert store.count() == 1


# Filters.

PEOPLE = [
    ("ann.md", {"author": "Ann", "year": 2019, "score": 0.5, "draft": True, "tags": ("a", "b")}, "", ()),
    ("bob.md", {"author": "Bob", "year": 2021, "score": 2.0, "draft": False, "tags": ("b",)}, "", ("user:bob",)),
    ("cat.md", {"author": "Cat", "year": "2021"}, "acme", ("group:staff", "user:cat")),
    ("dan.md", {}, "acme", ()),
]


@pytest.fixture
def filtered(store, embedder, make_passage):
    passages = [
        make_passage("rose garden", source, metadata=metadata, tenant=tenant, readers=readers, page=number)
        for number, (source, metadata, tenant, readers) in enumerate(PEOPLE, 1)
    ]
    vectors = embedder.embed([p.text for p in passages])
    with store.generation(embedder.dimension) as generation:
        generation.upsert(passages, vectors, sparse_documents([p.text for p in passages]))
        generation.commit(manifest(embedder, {p.source: entry(generation.put_text(p.text)) for p in passages}))

    def find(asked):
        dense = {p.source[:3] for p, _ in store.search_dense(embedder.embed_query("rose"), 9, asked)}
        sparse = {p.source[:3] for p, _ in store.search_sparse(sparse_query("rose"), 9, asked)}
        assert dense == sparse
        return dense

    return find


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (["author=Ann"], {"ann"}),
        (["author=Ann|Bob"], {"ann", "bob"}),
        (["author!=Ann"], {"bob", "cat", "dan"}),
        (["year=2021"], {"bob"}),
        (['year="2021"'], {"cat"}),
        (["year>=2020"], {"bob"}),
        (["year<=2020"], {"ann"}),
        (["year>=2019", "year<=2021"], {"ann", "bob"}),
        (["score=0.5"], {"ann"}),
        (["score=2"], {"bob"}),
        (["draft=true"], {"ann"}),
        (["draft!=true"], {"bob", "cat", "dan"}),
        (["tags=b"], {"ann", "bob"}),
        (["tags!=a"], {"bob", "cat", "dan"}),
        (["page>=3"], {"cat", "dan"}),
        (["page=2"], {"bob"}),
        (["source=cat.md|dan.md"], {"cat", "dan"}),
        (["source!=cat.md"], {"ann", "bob", "dan"}),
        (["title=Title", "tags=b", "author!=Ann"], {"bob"}),
        (["nothing=1"], set()),
    ],
)
def test_conditions_hold_in_the_query(filtered, expression, found):
    assert filtered(parse_where(expression)) == found


@pytest.mark.parametrize(
    ("access", "found"),
    [
        (Access(), {"ann"}),
        (Access(principals=("user:bob",)), {"ann", "bob"}),
        (Access("acme"), {"dan"}),
        (Access("acme", ("group:staff",)), {"cat", "dan"}),
        (Access("acme", ("user:bob",)), {"dan"}),
        (Access("other", ("user:bob", "group:staff")), set()),
    ],
)
def test_tenants_and_readers_hold_in_the_query(filtered, access, found):
    assert filtered(Where(access=access)) == found
    assert filtered(Where((Condition("author", any_of=("Bob", "Cat")),), access)) == found & {"bob", "cat"}


def test_a_filter_narrows_before_the_limit(store, write, embedder):
    write(store, {f"{i}.md": ["rose garden"] for i in range(20)} | {"last.md": ["a rose"]})
    found = store.search_dense(embedder.embed_query("rose garden"), 1, where({"source": "last.md"}))
    assert [p.source for p, _ in found] == ["last.md"]


# Options on the wire.


def created(loopback):
    path = next(a.collection_name for a in loopback.memory.get_aliases().aliases)
    return next(b for method, p, b in loopback.requests if method == "PUT" and p == f"/collections/{path}")


def test_options_go_to_the_server(open_kb, loopback, write):
    store = open_kb(
        qdrant_url=loopback.url, qdrant_shard_number=6, qdrant_replication_factor=3, qdrant_write_consistency_factor=2,
        qdrant_on_disk_vectors=True, qdrant_on_disk_payload=False, qdrant_quantization="scalar",
        hnsw_m=24, hnsw_ef_construct=200,
    )  # fmt: skip
    write(store, FACTS)
    asked = created(loopback)
    assert (asked["shard_number"], asked["replication_factor"], asked["write_consistency_factor"]) == (6, 3, 2)
    assert asked["vectors"]["dense"] == {"size": 64, "distance": "Cosine", "on_disk": True}
    assert asked["sparse_vectors"]["sparse"] == {"modifier": "idf", "index": {"on_disk": True}}
    assert asked["on_disk_payload"] is False
    assert asked["hnsw_config"] == {"m": 24, "ef_construct": 200, "on_disk": True}
    assert asked["quantization_config"]["scalar"]["type"] == "int8"
    texts = next(b for m, p, b in loopback.requests if m == "PUT" and p.endswith(".texts") and "/points" not in p)
    assert (texts["shard_number"], texts["replication_factor"]) == (6, 3)


@pytest.mark.parametrize("kind", ["binary", "product", "none"])
def test_each_quantization_is_asked_for(open_kb, loopback, write, kind):
    write(open_kb(qdrant_url=loopback.url, qdrant_quantization=kind), FACTS)
    asked = created(loopback).get("quantization_config")
    assert asked is None if kind == "none" else list(asked) == [kind]


def test_what_is_filtered_by_is_indexed(open_kb, loopback, write):
    write(open_kb(qdrant_url=loopback.url, qdrant_metadata_indexes="year:integer, score:float"), FACTS)
    asked = {b["field_name"]: b["field_schema"] for m, p, b in loopback.requests if p.endswith("/index")}
    assert asked["tenant"] == {"type": "keyword", "is_tenant": True}
    for field, kind in {"source": "keyword", "readers": "keyword", "facts": "keyword", "id": "uuid"}.items():
        assert asked[field] == kind
    assert (asked["born"], asked["died"]) == ("integer", "integer")
    assert (asked["metadata.year"], asked["metadata.score"]) == ("integer", "float")


def last_params(loopback):
    return [b.get("params") for _, p, b in loopback.requests if p.endswith("/points/query")][-1]


def test_search_is_exact_while_that_is_fast_and_indexed_above(open_kb, loopback, embedder, make_passage):
    store = open_kb(
        qdrant_url=loopback.url, exact_below=1000, hnsw_ef=77, qdrant_quantization="binary", qdrant_oversampling=3.0
    )
    for passages in (1000, 1001):
        with store.generation(embedder.dimension) as generation:
            passage = make_passage("one")
            generation.upsert([passage], embedder.embed(["one"]), sparse_documents(["one"]))
            generation.commit(manifest(embedder, {"a.md": entry(generation.put_text("one"), passages)}))
        store.search_dense(embedder.embed_query("one"), 3)
        params = last_params(loopback)
        if passages == 1000:
            assert params["exact"] is True
        else:
            assert params == {"hnsw_ef": 77, "quantization": {"rescore": True, "oversampling": 3.0}}
    store.search_sparse(sparse_query("one"), 3)
    assert last_params(loopback)["exact"] is True


def test_grpc_is_preferred_when_asked_for():
    client = connect(RagSettings(store="qdrant", qdrant_grpc=True, qdrant_grpc_port=7334))
    assert (client.init_options["prefer_grpc"], client.init_options["grpc_port"]) == (True, 7334)
    client.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qdrant_shard_number": 0}, "rag.qdrant_shard_number is 0. Give a number from 1 to 1024"),
        ({"qdrant_replication_factor": 65}, "from 1 to 64"),
        ({"qdrant_write_consistency_factor": 2}, "No more copies can have a write than there are"),
        ({"qdrant_quantization": "int4"}, "Choose one of none, scalar, binary, product"),
        ({"qdrant_oversampling": 0.5}, "from 1 to 100"),
        ({"qdrant_oversampling": float("nan")}, "from 1 to 100"),
        ({"qdrant_grpc_port": 0}, "from 1 to 65535"),
        ({"qdrant_metadata_indexes": "year"}, "Write field:kind"),
        ({"qdrant_metadata_indexes": "ye ar:integer"}, "cannot name a field"),
        ({"hnsw_m": 2}, "hnsw_m"),
        ({"exact_below": 10}, "exact_below"),
        ({"ray_cpus": -1}, "rag.ray"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(SettingsError, match="reading settings") as caught:
        RagSettings(**options)
    assert message in str(caught.value)


# A server that is down, closed, old, or none.


def test_a_server_that_is_down_says_how_to_start_it():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for look in (lambda s: open_store("kb", s).refresh(), list_indexes, lambda s: open_store("kb", s).generation(4)):
        with pytest.raises(StoreUnreachable, match=r"no Qdrant server answers.*docker compose up qdrant"):
            look(RagSettings(store="qdrant", qdrant_url=url))


def test_a_server_that_never_answers_is_left_in_time(settings, loopback):
    release = threading.Event()
    loopback.before = lambda *_: release.wait(20)
    try:
        store = open_store("kb", RagSettings(store="qdrant", qdrant_url=loopback.url, timeout=1))
        with pytest.raises(StoreUnreachable, match=r"did not answer in time\. Raise HEARTH_RAG_TIMEOUT"):
            store.refresh()
    finally:
        release.set()


def test_a_server_that_wants_a_key_is_told_of_it(run_loopback):
    with run_loopback(key="secret") as server:
        with pytest.raises(StoreFailed, match=r"refuses the key \(401\)\. Set HEARTH_RAG_API_KEY"):
            open_store("kb", RagSettings(store="qdrant", qdrant_url=server.url, api_key="wrong")).refresh()
        assert open_store("kb", RagSettings(store="qdrant", qdrant_url=server.url, api_key="secret")).refresh() is False


def test_an_old_server_is_refused(run_loopback):
    with run_loopback(version="1.7.4") as server, pytest.raises(StoreFailed, match=r"Qdrant 1\.7\.4\. Upgrade"):
        open_store("kb", RagSettings(store="qdrant", qdrant_url=server.url)).refresh()


def test_what_is_no_qdrant_is_refused(run_loopback):
    with run_loopback(version=None) as server, pytest.raises(StoreFailed, match="no Qdrant server"):
        open_store("kb", RagSettings(store="qdrant", qdrant_url=server.url)).refresh()


def test_an_impossible_address_is_a_settings_error():
    with pytest.raises(SettingsError, match=r"rag\.qdrant_url"):
        connect(RagSettings(store="qdrant", qdrant_url="http://[::1"))


@pytest.mark.parametrize("after", range(12))
def test_a_server_that_fails_while_writing_loses_nothing(open_kb, write, loopback, after):
    store = open_kb()
    write(store, FACTS)
    seen = [0]

    def fail(method, path, body):
        seen[0] += 1
        if seen[0] > after:
            loopback.faults.append(500)

    loopback.before = fail
    with pytest.raises(StoreFailed):
        write(store, {"new.md": ["new"], "garden.md": ["Roses withered."]}, delete=["garden.md"])
    loopback.before, loopback.faults[:] = (lambda *_: None), []
    store.refresh()
    assert store.count() == 3
    assert set(store.manifest().documents) == set(FACTS)
    assert store.text("garden.md") == "\n".join(FACTS["garden.md"])


def test_two_indexes_stand_side_by_side(settings, write, loopback):
    one, two = (QdrantStore(name, connect(settings), settings) for name in ("one", "two"))
    write(one, {"a.md": ["x"]})
    write(two, {"a.md": ["y"]})
    assert list_indexes(settings) == ["one", "two"]
    one.delete()
    assert list_indexes(settings) == ["two"]
    assert two.count() == 1
    for store in (one, two):
        store.close()

"""What may be seen holds inside every search: conditions, tenants and readers against a plain reading of them."""

import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import UsageError
from rag import KnowledgeBase
from rag.filters import Access, Where, parse_where
from rag.labels import Labels
from rag.manifest import DocumentEntry, Manifest
from rag.parents import Parents
from rag.retrieve import Search, retrieve
from rag.settings import RagSettings
from rag.sparse import sparse_documents, sparse_query
from rag.store import open_store
from rag.types import Citation, Passage

TENANTS = ["", "acme", "bolt"]
READERS = ["user:ann", "user:bob", "group:staff"]


def commit(store, embedder, documents):
    """Documents as (source, tenant, readers, metadata), each with two passages about one thing."""
    with store.generation(embedder.dimension, fresh=True) as writer:
        entries = {}
        for source, tenant, readers, metadata in documents:
            texts = [f"common words of {source} part {n}" for n in range(2)]
            whole = "\n".join(texts)
            passages = [
                Passage(
                    str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source}{n}")),
                    text,
                    source,
                    "",
                    start := whole.index(text),
                    start + len(text),
                    n + 1,
                    n + 1,
                    parent_end=len(whole),
                    tenant=tenant,
                    readers=readers,
                    metadata=metadata,
                )
                for n, text in enumerate(texts)
            ]
            writer.upsert(passages, embedder.embed(texts), sparse_documents(texts))
            entries[source] = DocumentEntry(
                "0" * 64, writer.put_text(whole), 2, "", 0, 0, f"/{source}", tenant=tenant, readers=readers
            )
        writer.commit(Manifest(embedder.name, embedder.dimension, embedder.sha256, 180, 30, entries))


def some_documents(seed):
    """Thirty documents of random owners, readers and metadata."""
    chance = random.Random(seed)
    metadata = {
        "year": [2000, 2001, 2003, 2000.0, 2001.5],
        "author": ["Ann", "Bob", "2000"],
        "draft": [True, False],
        "tags": [("red",), ("red", "blue"), ()],
    }
    for number in range(30):
        known = {key: chance.choice(values) for key, values in metadata.items() if chance.random() < 0.7}
        readers = tuple(chance.sample(READERS, chance.choice([0, 0, 1, 2])))
        yield f"d{number}.md", chance.choice(TENANTS), readers, known


@pytest.fixture(scope="module", params=["edge", "memory"])
def filled(request, tmp_path_factory, make_embedder):
    """A store with random documents, and what they are."""
    embedder, documents = make_embedder(), list(some_documents(request.param))
    folder = tmp_path_factory.mktemp("indexes")
    store = open_store("kb", RagSettings(store=request.param, index_folder=str(folder)))
    commit(store, embedder, documents)
    yield store, embedder, documents
    store.close()


ACCESS = st.none() | st.builds(
    Access,
    st.sampled_from([*TENANTS, "none"]),
    st.lists(st.sampled_from([*READERS, "user:eve"]), max_size=3).map(tuple),
)
CONDITIONS = st.lists(
    st.sampled_from(
        [
            "year=2000",
            "year=2000|2001.5",
            "year!=2000",
            "year>=2001",
            "year<=2001.5",
            "author=Ann",
            'author="2000"',
            "author=2000",
            "author!=Ann|Bob",
            "draft=true",
            "draft!=true",
            "tags=red",
            "tags!=red",
            "source=d0.md|d2.md",
            "nothing=1",
        ]
    ),
    max_size=2,
)


def same(value, wanted):
    if isinstance(value, bool) or isinstance(wanted, bool) or isinstance(value, str) or isinstance(wanted, str):
        return type(value) is type(wanted) and value == wanted
    return value == wanted


def holds(condition, source, metadata):
    """The conditions as their documentation words them."""
    value = source if condition.field == "source" else metadata.get(condition.field)
    values = list(value) if isinstance(value, tuple) else [] if value is None else [value]
    if condition.any_of and not any(same(v, w) for v in values for w in condition.any_of):
        return False
    if any(same(v, w) for v in values for w in condition.none_of):
        return False
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    low, high = condition.at_least, condition.at_most
    if low is None and high is None:
        return True
    return any((low is None or v >= low) and (high is None or v <= high) for v in numbers)


@settings(max_examples=150, deadline=None)
@given(access=ACCESS, expressions=CONDITIONS)
def test_a_search_sees_exactly_what_may_be_seen(filled, access, expressions):
    store, embedder, documents = filled
    where = parse_where(expressions, access)
    expected = {
        source
        for source, tenant, readers, metadata in documents
        if all(holds(condition, source, metadata) for condition in where.conditions)
        and (access is None or (tenant == access.tenant and (not readers or set(readers) & set(access.principals))))
    }
    for found in (
        store.search_dense(embedder.embed_query("common words"), 100, where),
        store.search_sparse(sparse_query("common words"), 100, where),
    ):
        assert {passage.source for passage, _ in found} == expected
        assert len(found) == 2 * len(expected)
    for options in (Search(100, where=where), Search(100, where=where, parents=Parents(1), diversity=0.5)):
        hits = retrieve("common words", store, embedder, options)
        assert {hit.passage.source for hit in hits} == expected


@settings(max_examples=40, deadline=None)
@given(access=ACCESS.filter(bool))
def test_a_knowledge_base_shows_what_its_reader_may_see(filled, access):
    store, embedder, documents = filled
    base = KnowledgeBase("kb", embedder=embedder, store=store, access=access)
    allowed = {source for source, tenant, readers, _ in documents if access.may_read(tenant, readers)}
    assert set(base.documents()) == allowed
    assert {hit.passage.source for hit in base.search("common words", 100)} == allowed
    assert {reason.hit.passage.source for reason in base.explain("common words", 100).hits} == allowed


def test_the_limit_is_of_what_may_be_seen(store, embedder):
    """A filter behind the search would find the nearest, drop them and have nothing left."""
    many = [(f"secret{n}.md", "acme", ("user:ann",), {}) for n in range(30)]
    commit(store, embedder, [*many, ("open.md", "acme", (), {})])
    where = Where(access=Access("acme"))
    query = embedder.embed_query("common words of secret1.md part 0")
    assert {p.source for p, _ in store.search_dense(query, 2, where)} == {"open.md"}
    options = Search(limit=2, pool=2, where=where)
    assert len(retrieve("common words secret1", store, embedder, options)) == 2


@pytest.fixture
def shared(store, embedder):
    commit(
        store, embedder, [("open.md", "acme", (), {}), ("ann.md", "acme", ("user:ann",), {}), ("b.md", "bolt", (), {})]
    )
    return store


def citation(source):
    return Citation(1, "common", source, "", 0, 6, 1, 1)


def test_documents_and_their_texts_are_only_for_those_who_may_see_them(shared, embedder):
    bob = KnowledgeBase("kb", embedder=embedder, store=shared, access=Access("acme", ("user:bob",)))
    assert list(bob.documents()) == ["open.md"]
    assert "common words" in bob.open(citation("open.md"))
    for hidden in ("ann.md", "b.md", "absent.md"):
        with pytest.raises(UsageError, match="is not in this knowledge base"):
            bob.open(citation(hidden))
    owner = KnowledgeBase("kb", embedder=embedder, store=shared)
    assert set(owner.documents()) == {"open.md", "ann.md", "b.md"}


def test_a_search_cannot_ask_for_more_than_the_knowledge_base_was_opened_for(shared, embedder):
    bob = KnowledgeBase("kb", embedder=embedder, store=shared, access=Access("acme", ("user:bob",)))
    wider = Where(access=Access("acme", ("user:ann",)))
    for hits in (
        bob.search("common words", where=wider),
        bob.search("common words", options=Search(where=wider)),
        bob.search("common words", sources=["ann.md", "open.md"]),
        [reason.hit for reason in bob.explain("common words", where=wider).hits],
        list(bob.ask("What are the common words of part 1?").passages),
    ):
        assert {hit.passage.source for hit in hits} == {"open.md"}


def test_a_knowledge_base_opened_for_somebody_changes_and_gives_away_nothing(tmp_path, embedder):
    (tmp_path / "a.md").write_text("Roses grow.")
    owner = KnowledgeBase("kb", home=tmp_path, embedder=embedder)
    owner.add(tmp_path / "a.md", labels=Labels("acme"))
    guest = KnowledgeBase("kb", home=tmp_path, embedder=embedder, access=Access("acme"))
    assert len(guest.search("roses")) == 1
    source = next(iter(guest.documents()))
    for act in (
        lambda: guest.add(tmp_path / "a.md"),
        lambda: guest.add_documents([]),
        lambda: guest.remove(source),
        guest.verify,
        guest.repair,
        lambda: guest.export(tmp_path / "out.hearth"),
        lambda: guest.import_from(tmp_path / "out.hearth"),
    ):
        with pytest.raises(UsageError, match="opened for somebody"):
            act()
    assert not (tmp_path / "out.hearth").exists()

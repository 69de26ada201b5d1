"""Indexing: only what changed is read and embedded, every file's failure is its own, an interrupt changes nothing."""

import hashlib
import os
import time
import zipfile
from pathlib import Path

import pytest

from rag.errors import DocumentError, IndexLocked, IndexMismatch
from rag.index import IndexProgress, Selection, index, index_documents
from rag.labels import Labels
from rag.load.discover import Discovery
from rag.plan import plan
from rag.searchable import searchable
from rag.settings import RagSettings
from rag.sparse import sparse_query
from rag.types import Document


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    put(
        folder / "hearth.md", "# The hearth\n\nThe hearth is built of granite.\n\n## Smoke\n\nIt leaves by the chimney."
    )
    put(folder / "garden.txt", "Roses grow beside the wall.")
    put(folder / "ships.html", "<html><title>Ships</title><body><p>Sailing ships need wind.</p></body></html>")
    return folder


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """However slow the machine is, a run commits between files only where a test asks for it."""
    monkeypatch.setattr("rag.indexing.FIRST_COMMIT", 1000)


def put(path, text):
    """Write a file as if an hour ago, so that its time can be trusted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    put.clock = getattr(put, "clock", time.time() - 3600) + 1
    os.utime(path, (put.clock, put.clock))


def sources(store):
    return {Path(source).name for source in store.manifest().documents}


def names(found):
    return [Path(source).name for source in found]


def test_a_folder_becomes_passages_that_know_their_place(docs, store, embedder):
    report = index([docs], store, embedder)
    assert names(report.added) == ["garden.txt", "hearth.md", "ships.html"]
    assert (report.updated, report.removed, report.duplicates, report.failed) == ((), (), (), {})
    assert report.passages == store.count() == store.manifest().passages
    assert report.seconds > 0
    source = (docs / "hearth.md").as_posix()
    [(passage, _)] = store.search_dense(embedder.embed_query("built of granite"), 1)
    assert passage.source == source
    assert store.text(source)[passage.start : passage.end] == passage.text
    assert store.manifest().documents[source].title == "The hearth"


def test_what_is_embedded_stands_under_its_title_and_headings(docs, store, embedder):
    index([docs], store, embedder)
    assert any(text.startswith("The hearth > Smoke\n") for text in embedder.embedded)
    assert len(max(embedder.embedded, key=len)) < 400


def test_nothing_changed_means_nothing_read_embedded_or_written(docs, store, embedder, monkeypatch):
    index([docs], store, embedder)
    before = store.manifest()
    embedder.embedded.clear()
    monkeypatch.setattr("rag.indexing.load_all", None)
    monkeypatch.setattr("hashlib.file_digest", None)
    report = index([docs], store, embedder)
    assert (report.unchanged, report.added, report.passages) == (3, (), 0)
    assert embedder.embedded == []
    assert store.manifest() == before


def test_a_touched_file_is_not_embedded_again(docs, store, embedder):
    index([docs], store, embedder)
    embedder.embedded.clear()
    os.utime(docs / "garden.txt")
    assert index([docs], store, embedder).unchanged == 3
    assert embedder.embedded == []


def test_a_change_within_the_clocks_resolution_is_seen(docs, store, embedder):
    (docs / "garden.txt").write_text("Roses are red 1.")
    moment = (docs / "garden.txt").stat()
    index([docs], store, embedder)
    (docs / "garden.txt").write_text("Roses are red 2.")
    os.utime(docs / "garden.txt", ns=(moment.st_atime_ns, moment.st_mtime_ns))
    assert names(index([docs], store, embedder).updated) == ["garden.txt"]


def test_changed_new_and_deleted_files_are_replaced_and_the_rest_left(docs, store, embedder):
    index([docs], store, embedder)
    embedder.embedded.clear()
    put(docs / "garden.txt", "Tulips grow beside the gate.")
    put(docs / "new.md", "Brand new.")
    (docs / "ships.html").unlink()
    report = index([docs], store, embedder)
    assert names(report.added) == ["new.md"]
    assert names(report.updated) == ["garden.txt"]
    assert names(report.removed) == ["ships.html"]
    assert report.unchanged == 1
    assert len(embedder.embedded) == 2
    assert sources(store) == {"garden.txt", "hearth.md", "new.md"}
    texts = [passage.text for passage, _ in store.search_dense(embedder.embed_query("roses ships tulips"), 9)]
    assert "Tulips grow beside the gate." in texts
    assert not any("Roses" in text or "Sailing" in text for text in texts)


def test_documents_outside_the_paths_stay(docs, tmp_path, store, embedder):
    put(tmp_path / "other" / "far.md", "Far away.")
    index([docs, tmp_path / "other"], store, embedder)
    (docs / "garden.txt").unlink()
    (tmp_path / "other" / "far.md").unlink()
    report = index([docs], store, embedder)
    assert names(report.removed) == ["garden.txt"]
    assert "far.md" in sources(store)
    assert names(index([tmp_path / "other" / "far.md"], store, embedder).removed) == ["far.md"]


def test_identical_files_are_kept_once_and_told_of(docs, store, embedder):
    put(docs / "z-copy.txt", "Roses grow beside the wall.")
    report = index([docs], store, embedder)
    assert names(report.duplicates) == ["z-copy.txt"]
    assert len(store.search_dense(embedder.embed_query("roses"), 9)) == store.count() == report.passages
    assert store.text((docs / "z-copy.txt").as_posix()) == "Roses grow beside the wall."
    again = index([docs], store, embedder)
    assert (again.unchanged, again.duplicates) == (4, ())


def test_a_duplicate_takes_over_when_the_first_goes(docs, tmp_path, store, embedder):
    put(docs / "z-copy.txt", "Roses grow beside the wall.")
    put(tmp_path / "other" / "far-copy.txt", "Roses grow beside the wall.")
    index([docs, tmp_path / "other"], store, embedder)
    (docs / "garden.txt").unlink()
    report = index([docs], store, embedder)
    assert names(report.updated) == ["z-copy.txt"]
    (docs / "z-copy.txt").unlink()
    index([docs], store, embedder)
    [(passage, _)] = store.search_dense(embedder.embed_query("roses wall"), 1)
    assert Path(passage.source).name == "far-copy.txt"


def test_each_files_failure_is_its_own(docs, store, embedder):
    put(docs / "broken.pdf", b"%PDF-1.7 broken")
    put(docs / "empty.md", "")
    put(docs / "zero.docx", b"PK\x03\x04 not a zip")
    report = index([docs], store, embedder)
    assert len(report.added) == 3
    assert sorted(names(report.failed)) == ["broken.pdf", "empty.md", "zero.docx"]
    assert all("\n" not in reason and len(reason) > 10 for reason in report.failed.values())
    assert len(index([docs], store, embedder).failed) == 3


def test_a_document_that_breaks_leaves_the_index(docs, store, embedder):
    index([docs], store, embedder)
    put(docs / "garden.txt", "")
    report = index([docs], store, embedder)
    assert names(report.failed) == ["garden.txt"]
    assert sources(store) == {"hearth.md", "ships.html"}
    assert store.count() == store.manifest().passages


def test_a_path_that_is_not_there_is_a_failure_not_a_crash(tmp_path, store, embedder):
    report = index([tmp_path / "nowhere.md"], store, embedder)
    assert names(report.failed) == ["nowhere.md"]
    assert store.refresh() is False


class Unlistable(Discovery):
    """Stands in for a folder without permission to list it: root, who may run these tests, lists every folder."""

    def _walk(self, folder, root):
        yield folder


def test_files_of_other_kinds_are_left_out_and_counted(docs, store, embedder):
    (docs / "picture.xyz").write_bytes(b"??")
    report = index([docs], store, embedder)
    assert (report.unsupported, len(report.added), report.failed) == (1, 3, {})


def test_a_folder_that_cannot_be_listed_keeps_its_documents(docs, store, embedder, monkeypatch):
    index([docs], store, embedder)
    monkeypatch.setattr("rag.index.discover", Unlistable)
    report = index([docs], store, embedder)
    assert "cannot be listed" in next(iter(report.failed.values()))
    assert report.removed == ()
    assert len(sources(store)) == 3


def test_one_file_by_two_paths_is_one_document(docs, store, embedder, monkeypatch):
    index([docs], store, embedder)
    monkeypatch.chdir(docs.parent)
    report = index([Path("docs"), Path("docs/../docs/garden.txt")], store, embedder)
    assert (report.unchanged, report.added) == (3, ())


def test_two_files_by_one_path_are_two_documents(tmp_path, store, embedder, monkeypatch):
    for place in ("one", "two"):
        put(tmp_path / place / "notes.md", f"Notes of {place}.")
        monkeypatch.chdir(tmp_path / place)
        index([Path("notes.md")], store, embedder)
    assert set(store.manifest().documents) == {"notes.md", (tmp_path / "two" / "notes.md").as_posix()}
    assert store.text("notes.md") == "Notes of one."


def test_strange_names_are_documents_too(docs, store, embedder):
    name = os.fsdecode(b"caf\xe9 \n [x].md")
    put(docs / name, "Strange name, plain text.")
    index([docs], store, embedder)
    [(passage, _)] = store.search_dense(embedder.embed_query("strange name"), 1)
    assert "Strange name" in store.text(passage.source)
    assert index([docs], store, embedder).unchanged == 4


def test_progress_counts_up_to_its_total(docs, store, embedder):
    seen = []
    index([docs], store, embedder, on_progress=seen.append)
    assert all(isinstance(event, IndexProgress) and 0 <= event.done <= event.total for event in seen)
    steps = [event.step for event in seen]
    assert list(dict.fromkeys(steps)) == ["reading", "embedding", "saving", "saved"]
    for step in ("reading", "embedding", "saved"):
        last = [event for event in seen if event.step == step][-1]
        assert last.done == last.total > 0


def test_progress_names_the_document_and_what_failed_so_far(docs, store, embedder):
    put(docs / "broken.pdf", b"no pdf")
    seen = []
    report = index([docs], store, embedder, on_progress=lambda progress: seen.append((progress, dict(progress.failed))))
    read = [progress.source for progress, _ in seen if progress.step == "reading" and progress.source]
    assert names(read) == ["broken.pdf", "garden.txt", "hearth.md", "ships.html"]
    assert [len(failed) for progress, failed in seen if progress.source] == [0, 1, 1, 1]
    assert seen[-1][0].passages == report.passages > 0


def test_windows_bound_memory_and_lose_nothing(docs, store, embedder, monkeypatch):
    monkeypatch.setattr("rag.indexing.WINDOW", 2)
    monkeypatch.setattr("rag.indexing.SLICE", 1)
    report = index([docs], store, embedder)
    assert store.count() == report.passages == store.manifest().passages >= 3


@pytest.mark.parametrize("step", ["reading", "embedding", "saving", "saved"])
def test_an_interrupt_leaves_the_old_generation(docs, store, embedder, step):
    index([docs], store, embedder)
    before = store.manifest()
    put(docs / "garden.txt", "Tulips.")
    put(docs / "new.md", "Brand new.")

    def interrupt(progress):
        if progress.step == step and (progress.done or step == "saving"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index([docs], store, embedder, on_progress=interrupt)
    store.refresh()
    if step == "saved":  # the last word of a run comes after its commit
        assert store.manifest() != before
    else:
        assert store.manifest() == before
        assert store.count() == before.passages
        assert names(index([docs], store, embedder).updated) == ["garden.txt"]


def steps_of(seen):
    return list(dict.fromkeys(event.step for event in seen))


def test_text_is_searchable_by_its_words_before_its_vectors_are_there(docs, store, embedder, monkeypatch):
    monkeypatch.setattr("rag.indexing.DIRECT", 0)
    found = []

    def look(progress):
        if progress.step == "searchable":
            store.refresh()
            found.append({p.source for p, _ in store.search_sparse(sparse_query("granite roses ships"), 9)})
            assert store.search_dense(embedder.embed_query("roses"), 9) == []
            assert len(store.manifest().pending) == 3

    report = index([docs], store, embedder, look)
    assert [len(sources) for sources in found] == [3]
    assert report.searchable_seconds > 0
    store.refresh()
    assert store.manifest().pending == []
    assert len(store.search_dense(embedder.embed_query("roses"), 9)) == report.passages == store.count()


@pytest.mark.parametrize("step", ["searchable", "embedding"])
def test_an_interrupted_run_keeps_the_words_and_the_next_one_adds_the_vectors(docs, store, embedder, monkeypatch, step):
    monkeypatch.setattr("rag.indexing.DIRECT", 0)

    def interrupt(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index([docs], store, embedder, interrupt)
    store.refresh()
    assert len(store.manifest().pending) == len(store.manifest().documents) == 3
    assert store.search_sparse(sparse_query("granite"), 9)
    monkeypatch.setattr("rag.indexing.load_all", None)  # nothing is read again
    report = index([docs], store, embedder)
    assert (report.unchanged, report.added, report.updated) == (3, (), ())
    store.refresh()
    assert store.manifest().pending == []
    assert len(store.search_dense(embedder.embed_query("roses"), 9)) == store.count()


def test_a_long_run_commits_now_and_then(docs, store, embedder, monkeypatch):
    for name in ("DIRECT", "FIRST_COMMIT", "LAST_COMMIT"):
        monkeypatch.setattr(f"rag.indexing.{name}", 0)
    for number in range(5):
        put(docs / f"{number}.txt", f"Fact number {number}.")
    seen = []
    index([docs], store, embedder, seen.append)
    searchable = [event.done for event in seen if event.step == "searchable"]
    assert searchable[:8] == list(range(1, 9))
    store.refresh()
    assert (len(store.manifest().documents), store.manifest().pending) == (8, [])
    assert store.count() == store.manifest().passages


def test_an_interrupted_update_keeps_what_was_not_read_yet(docs, store, embedder, monkeypatch):
    index([docs], store, embedder)
    for name in ("DIRECT", "FIRST_COMMIT"):
        monkeypatch.setattr(f"rag.indexing.{name}", 0)
    put(docs / "garden.txt", "Tulips grow.")
    put(docs / "ships.html", "<p>Engines drive ships.</p>")

    def interrupt(progress):
        if progress.step == "searchable":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index([docs], store, embedder, interrupt)
    store.refresh()
    assert {p.text.strip() for p, _ in store.search_sparse(sparse_query("tulips roses wind engines"), 9)} == {
        "Tulips grow.",
        "Sailing ships need wind.",
    }


def test_labels_reach_every_passage_and_stay_until_others_are_given(docs, store, embedder):
    labels = Labels("acme", ("user:ann",), {"year": 2020})
    index([docs], store, embedder, labels=labels)
    put(docs / "garden.txt", "Tulips grow beside the wall.")
    index([docs], store, embedder)
    store.refresh()
    for point in store.points():
        assert (point.passage.tenant, point.passage.readers) == ("acme", ("user:ann",))
        assert point.passage.metadata["year"] == 2020
    assert index([docs], store, embedder, labels=labels).unchanged == 3
    report = index([docs], store, embedder, labels=Labels("other"))
    assert len(report.updated) == 3
    store.refresh()
    assert {point.passage.tenant for point in store.points()} == {"other"}


def test_one_tenants_copy_is_no_duplicate_of_anothers(docs, tmp_path, store, embedder):
    index([docs], store, embedder, labels=Labels("a"))
    put(tmp_path / "copy.txt", (docs / "garden.txt").read_text())
    report = index([tmp_path / "copy.txt"], store, embedder, labels=Labels("b"))
    assert (len(report.added), report.duplicates) == (1, ())
    put(tmp_path / "again.txt", (docs / "garden.txt").read_text())
    assert len(index([tmp_path / "again.txt"], store, embedder, labels=Labels("b")).duplicates) == 1


def page(url, text):
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Document(url, text, digest, "text/html", title="A page", metadata={"url": url})


def test_documents_that_are_no_files_are_added_and_replaced(docs, store, embedder):
    index([docs], store, embedder)
    error = DocumentError("fetching", "it is gone", source="https://example.org/b")
    first = [page("https://example.org/a", "Whales sing."), error]
    report = index_documents(first, store, embedder)
    assert (report.added, list(report.failed)) == (("https://example.org/a",), ["https://example.org/b"])
    assert index_documents(first, store, embedder).unchanged == 1
    twice = [page("https://example.org/a", "Whales dive."), page("https://example.org/a", "Whales dance.")]
    assert index_documents(twice, store, embedder).updated == ("https://example.org/a",)
    assert index([docs], store, embedder).unchanged == 3
    store.refresh()
    assert store.text("https://example.org/a") == "Whales dance."
    assert texts_of(store, "whales") == {"Whales dance."}


def texts_of(store, query):
    return {passage.text for passage, _ in store.search_sparse(sparse_query(query), 9)}


def test_another_embedder_is_refused_with_the_remedy_until_a_rebuild(docs, store, embedder, make_embedder):
    index([docs], store, embedder)
    other = make_embedder(name="other")
    with pytest.raises(IndexMismatch, match=r"made by words .* HEARTH_RAG_EMBEDDER=words"):
        index([docs], store, other)
    with pytest.raises(IndexMismatch, match="another version of words"):
        index([docs], store, make_embedder(sha256="1" * 64))
    assert len(index([docs], store, other, rebuild=True).added) == 3
    assert store.manifest().embedder == "other"


def test_a_rebuild_mends_a_damaged_index(docs, tmp_path, embedder):
    from rag.store_edge import EdgeStore

    index([docs], EdgeStore(tmp_path / "kb"), embedder)
    (tmp_path / "kb" / "manifest.json").write_text("{")
    store = EdgeStore(tmp_path / "kb")
    assert len(index([docs], store, embedder, rebuild=True).added) == 3
    assert store.count() > 0


def test_other_chunk_settings_cut_again(docs, store, embedder):
    put(docs / "long.txt", "One sentence of some words. " * 40)
    first = index([docs], store, embedder)
    report = index([docs], store, embedder, settings=RagSettings(chunk_tokens=20, chunk_overlap=5))
    assert len(report.updated) == 4
    assert report.passages > first.passages
    assert store.count() == report.passages


def test_a_writer_that_came_between_is_noticed(docs, store, embedder, write, monkeypatch):
    index([docs], store, embedder)
    put(docs / "new.md", "Brand new.")

    def meddle(*arguments):
        result = plan(*arguments)
        write(store, {"meddled.md": ["x"]})
        return result

    monkeypatch.setattr("rag.index.plan", meddle)
    with pytest.raises(IndexLocked, match="has just changed it"):
        index([docs], store, embedder)
    assert "meddled.md" in sources(store)


def test_the_heading_above_a_passage_is_bounded(make_passage):
    passage = make_passage("text", heading=("x" * 1000,))
    assert len(searchable(passage)) < 250


def archive(path, **members):
    """A ZIP of texts, written as if an hour ago."""
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name.replace("_", "."), text)
    put(path, path.read_bytes())


def test_what_an_archive_holds_are_documents_that_follow_it(docs, store, embedder):
    archive(docs / "box.zip", whales_md="Whales sing.", crabs_txt="Crabs walk.", bad_pdf="no pdf", tool_exe="x")
    report = index([docs], store, embedder)
    box = (docs / "box.zip").as_posix()
    assert {name.removeprefix(box) for name in report.added if name.startswith(box)} == {"!/whales.md", "!/crabs.txt"}
    assert [name.removeprefix(box) for name in report.failed] == ["!/bad.pdf"]
    assert report.unsupported == 1
    assert index([docs], store, embedder).unchanged == 4
    archive(docs / "box.zip", whales_md="Whales dive.")
    index([docs], store, embedder)
    assert texts_of(store, "whales crabs") == {"Whales dive."}
    store.refresh()
    assert store.text(f"{box}!/whales.md") == "Whales dive."
    (docs / "box.zip").unlink()
    assert index([docs], store, embedder).removed == (box,)
    store.refresh()
    assert not any(source.startswith(box) for source in store.manifest().documents)
    assert store.count() == store.manifest().passages


def test_labels_of_an_archive_are_its_members(docs, store, embedder):
    archive(docs / "box.zip", whales_md="Whales sing.")
    index([docs / "box.zip"], store, embedder, labels=Labels("acme", ("user:ann",)))
    archive(docs / "box.zip", whales_md="Whales dive.")
    index([docs / "box.zip"], store, embedder)
    store.refresh()
    assert {(p.passage.tenant, p.passage.readers) for p in store.points()} == {("acme", ("user:ann",))}


def test_patterns_choose_the_files_of_a_folder(docs, store, embedder):
    put(docs / "drafts" / "new.md", "A draft.")
    put(docs / ".hearthignore", "*.html\n")
    report = index([docs], store, embedder, selection=Selection(exclude=("drafts/",)))
    assert (names(report.added), report.ignored) == (["garden.txt", "hearth.md"], 2)
    report = index([docs], store, embedder, selection=Selection(include=("*.txt",)))
    assert names(report.removed) == ["hearth.md"]

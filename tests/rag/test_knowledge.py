import os
import subprocess
import sys
from pathlib import Path

import pytest

import rag
from decoder.errors import UsageError
from rag import KnowledgeBase
from rag.errors import IndexNotFound


@pytest.fixture
def folder(tmp_path):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "lease.txt").write_text("One.\n\nTwo.\n\nThe rent is 900 euros a month.\n\nFour.\n\nFive.\n\nSix.\n")
    (documents / "bread.txt").write_text("Bake the rye bread for 55 minutes.\n")
    return documents


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def base(home, embedder):
    with KnowledgeBase("mine", home=home, embedder=embedder) as opened:
        yield opened


def source(base, name):
    return next(found for found in base.documents() if found.endswith(name))


def test_documents_are_added_listed_found_and_opened_again(base, folder, home, make_embedder):
    report = base.add(folder)
    assert len(report.added) == 2
    assert {Path(found).name for found in base.documents()} == {"lease.txt", "bread.txt"}
    assert KnowledgeBase.list(home) == ["mine"]
    with KnowledgeBase("mine", home=home, embedder=make_embedder()) as again:
        (best, *_) = again.search("the rent in euros", limit=1)
        assert "900 euros" in best.passage.text
        assert len(again.search("the rent", limit=1)) == 1
        assert again.search("the rent", sources=[source(again, "bread.txt")])[0].passage.source.endswith("bread.txt")


def test_progress_and_unchanged_files(base, folder):
    seen = []
    base.add([str(folder)], on_progress=seen.append)
    assert {progress.step for progress in seen} >= {"reading", "embedding"}
    assert base.add(folder).unchanged == 2


def test_a_citation_opens_on_its_lines(base, folder):
    base.add(folder)
    answer = base.ask("The rent is how many euros a month?")
    cited = answer.citations[0]
    assert cited.quote == "The rent is 900 euros a month."
    assert base.open(cited, around=1) == "4  \n5  The rent is 900 euros a month.\n6  "
    assert base.open(cited, around=99).splitlines()[0] == " 1  One."


def test_removing_a_document_forgets_what_it_said(base, folder):
    base.add(folder)
    base.remove(source(base, "lease.txt"))
    assert {Path(found).name for found in base.documents()} == {"bread.txt"}
    assert not any("rent" in hit.passage.text for hit in base.search("the rent"))
    with pytest.raises(UsageError, match=r"nothing\.txt"):
        base.remove("nothing.txt")


def test_a_copy_takes_the_place_of_what_is_removed(base, folder):
    (folder / "copy.txt").write_bytes((folder / "lease.txt").read_bytes())
    assert len(base.add(folder).duplicates) == 1
    kept, copy = (
        s for s in sorted(base.documents(), key=lambda s: bool(base.documents()[s].duplicate_of)) if "bread" not in s
    )
    base.remove(kept)
    assert base.documents()[copy].duplicate_of == ""
    assert any("900 euros" in hit.passage.text and hit.passage.source == copy for hit in base.search("the rent"))


def test_errors_say_what_to_do(base, home, tmp_path):
    assert base.documents() == {}
    with pytest.raises(IndexNotFound, match="Index some documents first"):
        base.ask("anything there?")
    with pytest.raises(UsageError, match="does not exist"):
        base.add(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="cannot be a name"):
        KnowledgeBase("../escape", home=home)


def test_an_empty_question_is_an_error(base, folder):
    base.add(folder)
    with pytest.raises(UsageError, match="empty"):
        base.ask("  ")


def test_closing_twice_and_without_opening_is_fine(home, embedder):
    base = KnowledgeBase("other", home=home, embedder=embedder)
    base.close()
    base.close()
    assert not home.exists()


async def test_it_is_an_async_context_manager(home, embedder, folder):
    async with KnowledgeBase("other", home=home, embedder=embedder) as base:
        base.add(folder)
        assert (await base.aask("The rent is how many euros a month?")).citations


def test_the_home_of_the_settings_is_used(folder, embedder, tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "other"))
    with KnowledgeBase(embedder=embedder) as base:
        base.add(folder)
    assert KnowledgeBase.list() == ["default"]
    assert (tmp_path / "other" / "indexes" / "default").is_dir()


def test_the_room_offers_its_names_and_loads_nothing_to_do_so():
    assert all(getattr(rag, name).__name__ == name for name in rag.__all__)
    assert set(rag.__all__) <= set(dir(rag))
    with pytest.raises(AttributeError, match="Nothing"):
        _ = rag.Nothing
    heavy = ("numpy", "torch", "qdrant_edge", "qdrant_client", "transformers", "langchain_core", "llama_index")
    code = f"import sys, rag; rag.KnowledgeBase('x'); print([m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(rag.__file__).parents[1])},
    )  # fmt: skip
    assert run.stdout.strip() == "[]", run.stderr

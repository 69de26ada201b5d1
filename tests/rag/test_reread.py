"""Reading documents again that have not changed: the old answers stay until the new ones are there."""

import pytest

from decoder.errors import UsageError
from rag.knowledge import KnowledgeBase
from rag.reread import reread
from rag.verify import verify


@pytest.fixture
def base(tmp_path, embedder):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Lamps\n\nThe lamp needs two batteries.\n")
    (folder / "b.md").write_text("# Kettles\n\nThe kettle boils in four minutes.\n")
    with KnowledgeBase("kb", home=tmp_path / "indexes", embedder=embedder) as base:
        base.add(folder)
        yield base


def source(base, name):
    return next(source for source in base.documents() if source.endswith(name))


def test_one_document_is_read_again_and_the_others_are_left_alone(base, embedder):
    embedder.embedded.clear()
    report = reread([source(base, "a.md")], base.store, embedder)
    assert report.updated == (source(base, "a.md"),)
    assert len(embedder.embedded) == 1
    assert "two batteries" in embedder.embedded[0]
    assert len(base.documents()) == 2
    assert verify(base.store) == []


def test_a_document_whose_file_has_gone_is_named_and_stays(base, embedder, tmp_path):
    (tmp_path / "docs" / "b.md").unlink()
    report = reread([source(base, "a.md"), source(base, "b.md")], base.store, embedder)
    assert list(report.failed) == [source(base, "b.md")]
    assert "not there any more" in report.failed[source(base, "b.md")]
    assert base.search("kettle")[0].passage.text.endswith("four minutes.")


def test_it_answers_while_it_is_read_again(base, embedder):
    seen = []
    reread([source(base, "a.md")], base.store, embedder, lambda progress: seen.append(len(base.search("lamp"))))
    assert seen
    assert min(seen) > 0


def test_an_unknown_document_is_refused(base, embedder):
    with pytest.raises(UsageError, match="not in this knowledge base"):
        reread(["c.md"], base.store, embedder)

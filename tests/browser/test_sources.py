"""The sources below an answer: chips, the page with the passage outlined, lines with numbers, and what is gone."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from rag.errors import DamagedDocument
from rag.knowledge import KnowledgeBase
from rag.types import Answer, Citation
from ui.browser import opened, source_dialog
from ui.browser.source_lines import LONGEST, numbered, window
from ui.browser.source_lookup import look_up, nearest_of, sources_of
from ui.browser.source_names import shortened

RAG = Path(__file__).parents[1] / "rag"
NOTES = "\n".join(["# Notes", "", *(f"Line {n} says nothing." for n in range(3, 31))])
HOSTILE = "[x](javascript:1)<b>:red[a]</b>![](//evil.example)"


def _from(name):
    spec = importlib.util.spec_from_file_location(f"tests_{name}", RAG / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pdfs, embedders = _from("test_load_pdf"), _from("conftest")


def chips_below(answer, kb_name):
    """The script of a page that shows one answer."""
    from ui.browser.source_view import show_sources

    show_sources(answer, kb_name, "a1")


def dialog_of(source, kb_name):
    """The script of a page that shows what the dialog holds."""
    from ui.browser.source_dialog import read_source

    read_source(source, kb_name, "s1")


def _made(home):
    """A knowledge base of a PDF of three pages and of notes, as if they had been uploaded."""
    folder = home / "uploads" / "docs"
    folder.mkdir(parents=True)
    pages = ("The warranty begins.", "The battery lasts nine hours.", "Call the service.")
    (folder / "manual.pdf").write_bytes(pdfs.make_pdf(*(pdfs.shown(text) for text in pages)))
    (folder / "notes.md").write_text(NOTES.replace("Line 20 says nothing.", "The rent is 900 euros a month."))
    base = KnowledgeBase("docs", embedder=embedders.WordEmbedder())
    base.add(folder)
    return base


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("shared")
        patch.setenv("HEARTH_HOME", str(place))
        with _made(place) as base:
            yield place, base


@pytest.fixture
def library(home, shared, monkeypatch):
    """One for all tests that only read."""
    place, base = shared
    monkeypatch.setenv("HEARTH_HOME", str(place))
    opened._bases["docs"] = base
    return base


@pytest.fixture
def changing(home):
    """One of the test's own."""
    with _made(home) as base:
        opened._bases["docs"] = base
        yield base


def asked(base, question):
    answer = base.ask(question)
    assert not answer.refused
    return answer


def run(script, *args):
    page = AppTest.from_function(script, args=args, default_timeout=30).run()
    assert not page.exception
    return page


def shown(page):
    """All text that the page has, whatever shows it."""
    kinds = (page.markdown, page.caption, page.info, page.error, page.code)
    return "\n".join(element.value for kind in kinds for element in kind)


def pictures(page):
    return page.get("image")


# Chips


def test_each_number_of_an_answer_has_a_chip_that_names_its_place(library):
    answer = asked(library, "How many hours lasts the battery?")
    page = run(chips_below, answer, "docs")
    assert "nine hours" in answer.text
    assert r"manual\.pdf\, page 2" in page.button[0].label
    assert page.button[0].label.startswith("1 · ")
    assert not pictures(page)


def test_pressing_a_chip_opens_the_page_with_the_passage_outlined(library):
    page = run(chips_below, asked(library, "How many hours lasts the battery?"), "docs")
    page.button[0].click().run()
    assert not page.exception
    (picture,) = pictures(page)
    assert "page 2" in shown(page).lower()
    assert picture.proto.imgs[0].alt.startswith("Page 2 of")
    assert "outlined" in picture.proto.imgs[0].alt
    assert "The battery lasts nine hours." in [code.value for code in page.code]


def test_names_are_shown_letter_by_letter(library):
    citation = Citation(1, "x", HOSTILE + ".md", "", 0, 1, 1, 1)
    page = run(chips_below, Answer("x [1]", (citation,)), "docs")
    label = page.button[0].label
    assert r"\[" in label and r"\<b\>" in label and "](" not in label and ":red[" not in label


def test_citations_of_one_number_and_page_are_one_chip():
    one = Citation(1, "a", "m.pdf", "", 0, 1, 1, 1, page=2)
    answer = Answer("a [1] b [1] c [2]", (one, replace(one, start=5, end=6), replace(one, marker=2)))
    assert [(source.marker, len(source.citations)) for source in sources_of(answer)] == [(1, 2), (2, 1)]


def test_an_answer_without_sources_shows_nothing(home):
    page = run(chips_below, Answer("Hello."), "docs")
    assert not page.button and not page.expander and shown(page) == ""


# The dialog: a page


def test_pages_are_turned_within_the_document(library):
    page = run(dialog_of, sources_of(asked(library, "How many hours lasts the battery?"))[0], "docs")
    assert "Page 2 of 3" in shown(page)
    page.button(key="s1-next").click().run()
    assert "Page 3 of 3" in shown(page)
    page.button(key="s1-next").click().run()
    assert "Page 3 of 3" in shown(page)
    assert "outlined" not in pictures(page)[0].proto.imgs[0].alt
    for _ in range(3):
        page.button(key="s1-previous").click().run()
    assert "Page 1 of 3" in shown(page)


def test_a_page_without_the_words_says_that_nothing_is_outlined(library):
    source = sources_of(asked(library, "How many hours lasts the battery?"))[0]
    moved = replace(source, citations=(replace(source.first, page=3),))
    page = run(dialog_of, moved, "docs")
    assert "nothing is outlined" in shown(page)
    assert "The battery lasts nine hours." in shown(page)


def test_a_file_that_changed_since_says_so_and_keeps_the_words(changing, tmp_path):
    source = sources_of(asked(changing, "How many hours lasts the battery?"))[0]
    Path(changing.documents()[source.first.source].path).write_bytes(pdfs.make_pdf(pdfs.shown("Other")))
    page = run(dialog_of, source, "docs")
    assert "changed" in page.error[0].value
    assert "The battery lasts nine hours." in shown(page)
    assert not pictures(page)


def test_a_page_that_cannot_be_drawn_is_read_as_lines(library, monkeypatch):
    def fails(*args, **options):
        raise DamagedDocument("showing it", "it is damaged", "Export it again")

    monkeypatch.setattr("rag.page_picture.draw_page", fails)
    page = run(dialog_of, sources_of(asked(library, "How many hours lasts the battery?"))[0], "docs")
    assert "it is damaged" in page.error[0].value.replace("\\", "")
    assert "> 3 │ The battery lasts nine hours." in [code.value for code in page.code]


# The dialog: lines


def test_lines_have_numbers_and_the_cited_one_is_marked(library):
    page = run(dialog_of, sources_of(asked(library, "How many euros a month is the rent?"))[0], "docs")
    before, cited, after = (code.value for code in page.code)
    assert cited == "> 20 │ The rent is 900 euros a month."
    assert before.split("\n")[0] == "  15 │ Line 15 says nothing."
    assert after.split("\n")[-1] == "  25 │ Line 25 says nothing."
    assert "Lines 15 to 25 of 30" in shown(page)


def test_more_lines_are_shown_on_demand_until_there_are_no_more(library):
    page = run(dialog_of, sources_of(asked(library, "How many euros a month is the rent?"))[0], "docs")
    page.button(key="s1-more").click().run()
    assert page.code[0].value.split("\n")[0] == "   1 │ # Notes"
    assert "Lines 1 to 30 of 30" in shown(page)
    assert not [button for button in page.button if button.key == "s1-more"]


def test_words_that_a_later_version_lacks_are_shown_as_they_were(changing):
    source = sources_of(asked(changing, "How many euros a month is the rent?"))[0]
    file = Path(changing.documents()[source.first.source].path)
    file.write_text("The rent is 1000 euros now.")
    changing.add(file)
    page = run(dialog_of, source, "docs")
    assert "changed" in page.info[0].value
    assert [code.value for code in page.code] == ["The rent is 900 euros a month."]


def test_words_that_moved_in_a_later_version_are_found_again(changing):
    source = sources_of(asked(changing, "How many euros a month is the rent?"))[0]
    file = Path(changing.documents()[source.first.source].path)
    file.write_text("New first line.\n" + file.read_text())
    changing.add(file)
    found = look_up(changing, source)
    assert (found.changed, found.lines) == (True, {21})


def test_long_and_odd_lines_are_cut_and_cannot_break_out():
    text = "a" * 5000 + "NEEDLE" + "b" * 5000 + "\nodd \r\x1b[2J\u202eline"
    (_, first), (_, second) = numbered(text, {1}, 1, 2, near=5000)
    assert "NEEDLE" in first and len(first) < LONGEST + 20
    assert second == "  2 │ odd \ufffd\ufffd[2J\ufffdline"
    assert window({5, 6}, 100, 3) == (2, 9)
    assert window({1}, 2, 50) == (1, 2)


# The original


def test_an_uploaded_original_can_be_saved_and_no_other_file(changing, tmp_path):
    source = sources_of(asked(changing, "How many euros a month is the rent?"))[0]
    assert run(dialog_of, source, "docs").get("download_button")
    elsewhere = tmp_path / "elsewhere" / "own.md"
    elsewhere.parent.mkdir()
    elsewhere.write_text("The deposit is 50 euros.")
    changing.add(elsewhere)
    source = sources_of(asked(changing, "How many euros is the deposit?"))[0]
    assert "deposit" in source.first.quote
    assert not run(dialog_of, source, "docs").get("download_button")


# What is gone, or another's


def test_a_document_that_is_gone_leaves_the_words_that_were_kept(changing):
    source = sources_of(asked(changing, "How many euros a month is the rent?"))[0]
    changing.remove(source.first.source)
    page = run(dialog_of, source, "docs")
    assert "no longer" in page.info[0].value
    assert "The rent is 900 euros a month." in shown(page)


def test_a_knowledge_base_that_is_gone_leaves_the_words_that_were_kept(library):
    source = sources_of(asked(library, "How many euros a month is the rent?"))[0]
    page = run(dialog_of, source, "never-made")
    assert "no longer" in page.info[0].value
    assert "The rent is 900 euros a month." in shown(page)
    assert "never-made" not in KnowledgeBase.list()


def test_another_persons_knowledge_base_is_as_good_as_gone(library, monkeypatch):
    from ui.browser.person import Person

    monkeypatch.setattr(source_dialog, "person", lambda: Person("ann", "Ann"))
    page = run(dialog_of, sources_of(asked(library, "How many euros a month is the rent?"))[0], "docs")
    assert "no longer" in page.info[0].value
    assert not page.get("download_button")


# A refusal


def test_a_refusal_shows_the_nearest_passages_with_their_scores(library):
    answer = Answer("The documents do not say.", passages=tuple(library.search("rent")), refused=True)
    page = run(chips_below, answer, "docs")
    assert page.expander[0].label == "Nearest passages"
    first = page.expander[0].markdown[0].value
    assert "score" in first and (r"notes\.md" in first or r"manual\.pdf" in first)
    assert len(page.expander[0].code) == len(answer.passages)
    assert nearest_of(answer)[0].first.quote == answer.passages[0].passage.text
    page.button(key="a1-near-1").click().run()
    assert not page.exception


def test_a_refusal_without_passages_says_what_to_do(home):
    page = run(chips_below, Answer("No.", refused=True), "docs")
    assert "add documents" in page.expander[0].caption[0].value


def test_long_names_keep_their_end():
    assert shortened("a" * 300 + "manual.pdf").endswith("manual.pdf")
    assert len(shortened("a" * 300)) == 60

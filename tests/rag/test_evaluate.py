import json
from dataclasses import replace

import pytest

from decoder.errors import ConnectFailed, UsageError
from decoder.scripted import ScriptedDecoder
from prompts.results import ResultsFailed, results_file
from rag.errors import IndexNotFound
from rag.evaluate import compare, evaluate
from rag.filters import where
from rag.gold import Documents, gold, is_right, ranks
from rag.knowledge import KnowledgeBase
from rag.manifest import DocumentEntry
from rag.question_fields import Span
from rag.questions import Question
from rag.results import Row
from rag.settings import RagSettings
from rag.store import open_store
from rag.trial import Setting, Trial, parse_setting
from rag.types import Citation, Hit

LEASE = "The monthly rent is 900 euros.\n"
GARDEN = "Mr Finch waters the garden on Tuesdays.\n"
ASKED = (
    Question("rent", "How much is the monthly rent?", answers=("900 euros",), sources=("lease.txt",)),
    Question("garden", "Who waters the garden on Tuesdays?", answers=("Mr Finch",)),
    Question("cup", "Which team won the football world cup?", answerable=False),
)


@pytest.fixture
def base(tmp_path, embedder):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in {"lease": LEASE, "garden": GARDEN, "lake": "The lake is cold and deep.\n"}.items():
        (folder / f"{name}.txt").write_text(text)
    store = open_store("kb", RagSettings(store="memory"))
    base = KnowledgeBase("kb", embedder=embedder, store=store)
    base.add(folder)
    yield base
    base.close()


@pytest.fixture
def hit(make_passage):
    return lambda text, source="a.md", start=0: Hit(make_passage(text, source, start), 1.0)


def same(name):
    return name


# What is wanted, and where it stands


def test_documents_are_ranked_among_documents(hit):
    wanted = gold(Question("q", "?", relevant={"a": 1, "b": 3, "c": 2}), same)
    found = [hit("1", "x"), hit("2", "b"), hit("3", "b", 9), hit("4", "a")]
    assert wanted.by == "sources"
    assert dict(zip(wanted.names, ranks(wanted, found), strict=True)) == {"a": 3, "b": 2, "c": None}
    assert dict(zip(wanted.names, wanted.grades, strict=True)) == {"a": 1, "b": 3, "c": 2}


def test_places_are_ranked_among_passages_by_half_of_the_shorter(hit):
    wanted = gold(Question("q", "?", passages=(Span("a.md", 10, 20), Span("a.md", 94, 114)), sources=("z",)), same)
    found = [hit("x" * 8, "b.md", 10), hit("x" * 100, "a.md", 0), hit("x" * 100, "a.md", 100)]
    assert wanted.by == "passages"
    assert ranks(wanted, found) == (2, 3)  # the first lies whole in the second hit, 14 of 20 of the second in the third
    assert ranks(wanted, found[:1]) == (None, None)


def test_answers_alone_are_sought_in_the_passages(hit):
    wanted = gold(Question("q", "?", answers=("900 euros", "900 €")), same)
    assert wanted.by == "answers"
    assert ranks(wanted, [hit("It is 1900 euros."), hit("It is 900 Euros!")]) == (2,)
    assert ranks(gold(Question("q", "?"), same), [hit("text")]) == ()


def test_a_citation_is_right_by_place_by_document_or_by_its_words():
    cited = Citation(1, "It is 900 euros.", "a.md", "", 30, 46, 1, 1)
    assert is_right(gold(Question("q", "?", passages=(Span("a.md", 40, 60),)), same), cited)
    assert not is_right(gold(Question("q", "?", passages=(Span("a.md", 46, 60),)), same), cited)
    assert not is_right(gold(Question("q", "?", passages=(Span("b.md", 40, 60),)), same), cited)
    assert is_right(gold(Question("q", "?", sources=("a.md",)), same), cited)
    assert not is_right(gold(Question("q", "?", sources=("b.md",)), same), cited)
    assert is_right(gold(Question("q", "?", answers=("900",)), same), cited)
    assert not is_right(gold(Question("q", "?", answers=("90",)), same), cited)


def test_documents_are_found_by_the_end_of_their_path():
    entry = DocumentEntry("0" * 64, "0" * 64, 1, "", 0, 0, "")
    names = ["/x/manual/a.md", "/y/notes/a.md", "/x/b.md", "copy.md"]
    entries = dict.fromkeys(names, entry) | {"copy.md": replace(entry, duplicate_of="/x/b.md")}
    documents = Documents(entries)
    assert documents("b.md") == documents("x/b.md") == documents("copy.md") == "/x/b.md"
    assert documents("manual/a.md") == "/x/manual/a.md"
    with pytest.raises(UsageError, match=r"could be /x/manual/a\.md or /y/notes/a\.md"):
        documents("a.md")
    assert documents("ual/a.md") == "ual/a.md"
    assert list(documents.missing) == ["ual/a.md"]


# The whole run


def test_figures_of_a_small_knowledge_base(base):
    seen = []
    found = evaluate(base, ASKED, on_progress=seen.append)
    summary = found.summary()
    assert {name: (i.value, i.count) for name, i in summary.items() if not name.endswith("seconds")} == {
        "recall@1": (1.0, 2),
        "recall@5": (1.0, 2),
        "recall@10": (1.0, 2),
        "mrr": (1.0, 2),
        "ndcg@10": (1.0, 2),
        "contains_answer": (1.0, 2),
        "token_f1": (pytest.approx((2 * 2 / (5 + 2) + 2 * 2 / (6 + 2)) / 2), 2),
        "citation_precision": (1.0, 2),
        "refusal_precision": (1.0, 1),
        "refusal_recall": (1.0, 1),
        "wrongly_refused": (0.0, 2),
    }
    assert summary["search_seconds"].count == summary["answer_seconds"].count == 3
    assert [(p.done, p.total) for p in seen] == [(0, 3), (1, 3), (2, 3)]
    rent, garden, cup = found.rows
    assert (rent.by, garden.by, cup.by) == ("sources", "answers", "")
    assert (rent.ranks, rent.generated, cup.refused, cup.answer) == ((1,), False, True, "The documents do not say.")
    assert rent.hits[0]["source"].endswith("lease.txt")
    assert rent.citations[0]["right"] is True
    assert rent.citations[0]["quote"] == LEASE.strip()


def test_a_decoder_that_says_something_else_is_found_out(base):
    base.decoder = ScriptedDecoder(lambda messages: "The lake is cold and deep [1].")
    found = evaluate(base, ASKED[:1])
    (row,) = found.rows
    assert row.generated
    assert row.metrics["contains_answer"] == 0.0
    assert row.metrics["recall@1"] == 1.0
    base.decoder = ScriptedDecoder(lambda messages: "The monthly rent is 900 euros [1].")
    assert evaluate(base, ASKED[:1]).rows[0].metrics["contains_answer"] == 1.0


def test_a_question_that_cannot_be_answered_is_a_row_with_its_error(base):
    base.decoder = ScriptedDecoder(lambda messages: "Yes [1].", context_length=30)
    found = evaluate(base, ASKED[:1])
    assert "leaves no room for documents" in found.failed["rent"]
    assert found.rows[0].metrics["contains_answer"] == 0.0
    assert found.rows[0].metrics["recall@1"] == 1.0


def test_a_server_that_fails_ends_the_run_and_what_was_kept_is_not_asked_again(base, tmp_path):
    path = tmp_path / "results.jsonl"
    answers = iter(["The monthly rent is 900 euros [1].", ConnectFailed("asking", "no server", "Start it")])

    def say(messages):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    base.decoder = ScriptedDecoder(say)
    with results_file(path, Row) as (known, keep), pytest.raises(ConnectFailed):
        evaluate(base, ASKED, known=known, keep=keep)
    with path.open("ab") as file:
        file.write(b'{"key": "half a li')
    base.decoder = ScriptedDecoder(lambda messages: "Mr Finch waters the garden on Tuesdays [1].")
    with results_file(path, Row, resume=True) as (known, keep):
        found = evaluate(base, ASKED, known=known, keep=keep)
    assert found.resumed == 1
    assert [row.answer for row in found.rows][:2] == [
        "The monthly rent is 900 euros. [1]",
        "Mr Finch waters the garden on Tuesdays. [1]",
    ]
    assert [json.loads(line)["id"] for line in path.read_bytes().splitlines()] == ["rent", "garden", "cup"]
    with results_file(path, Row, resume=True) as (known, keep):
        again = evaluate(base, ASKED, known=known, keep=keep)
    assert again.resumed == 3
    assert again.summary() == found.summary()


def test_results_of_another_setting_question_or_index_are_asked_again(base, tmp_path):
    first = evaluate(base, ASKED)
    known = {row.key: row for row in first.rows}
    assert evaluate(base, ASKED, known=known).resumed == 3
    assert evaluate(base, ASKED, Setting("one", {"limit": 1}), known=known).resumed == 0
    assert evaluate(base, ASKED, ks=[3], known=known).resumed == 0
    assert evaluate(base, [replace(ASKED[0], answers=("x",)), *ASKED[1:]], known=known).resumed == 2
    (tmp_path / "docs" / "new.txt").write_text("Something new.\n")
    base.add(tmp_path / "docs")
    assert evaluate(base, ASKED, known=known).resumed == 0


def test_documents_that_are_not_there_are_told(base):
    found = evaluate(base, [Question("q", "What is the rent?", sources=("lost.pdf", "lease.txt"))])
    assert found.missing == ("lost.pdf",)
    assert found.rows[0].metrics["recall@10"] == 0.5


def test_two_settings_are_compared_question_by_question(base):
    base.decoder = ScriptedDecoder(lambda messages: "The lake is cold and deep [1].")
    with_decoder, without = (evaluate(base, ASKED, parse_setting(f"decoder={state}")) for state in ("on", "off"))
    assert [row.generated for row in with_decoder.rows][:2] == [True, True]
    assert not any(row.generated for row in without.rows)
    found = compare(with_decoder, without)
    assert found["contains_answer"].value == 1.0
    assert found["contains_answer"].count == 2
    assert (found["recall@1"].value, found["recall@1"].low, found["recall@1"].high) == (0.0, 0.0, 0.0)
    assert "refusal_precision" not in found
    assert compare(without, with_decoder)["contains_answer"].value == -1.0


def test_a_setting_reaches_the_search(base):
    one = Trial(base, parse_setting("limit=1"))
    assert len(one.ask(ASKED[0]).passages) == 1
    assert len(one.search(ASKED[0], 3)) > 1
    assert len(Trial(base, Setting()).ask(ASKED[0]).passages) > 1


# Settings, results and what cannot be


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("limit", "no option with a value"),
        ("limits=3", "Known: limit"),
        ("limit=x", "not a whole number"),
        ("limit=0", "limit"),
        ("decoder=maybe", "not on or off"),
        ("limit=1,limit=2", "given twice"),
        ("absent.toml", "cannot be read"),
    ],
)
def test_a_setting_that_cannot_be(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_setting(text)


def test_settings_from_files_and_text(tmp_path):
    path = tmp_path / "wide.toml"
    path.write_text("limit = 20\ndecoder = false\n")
    assert parse_setting(str(path)) == Setting("wide", {"limit": 20, "decoder": False})
    assert parse_setting("limit=20, decoder=off").options == {"limit": 20, "decoder": False}
    assert parse_setting("default") == parse_setting("") == Setting()
    path.write_text("limit = [")
    with pytest.raises(UsageError, match="cannot be read"):
        parse_setting(str(path))


def test_a_decoder_that_is_not_there_cannot_be_switched_on(base):
    with pytest.raises(UsageError, match="wants one and there is none"):
        Trial(base, parse_setting("decoder=on"))


def test_results_are_not_written_over(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("{}\n")
    with pytest.raises(UsageError, match="already holds results"), results_file(path, Row):
        pass
    with pytest.raises(UsageError, match=r"line 1 of .* is no result"), results_file(path, Row, resume=True):
        pass
    assert path.read_text() == "{}\n"


@pytest.mark.parametrize("figure", ["NaN", '"high"', "true", "Infinity"])
def test_a_figure_that_is_no_number_is_refused(tmp_path, figure):
    path = tmp_path / "results.jsonl"
    row = '{"key": "k", "setting": "", "options": {}, "id": "1", "question": "?", "metrics": {"mrr": %s}}\n'
    path.write_text(row % figure)
    with pytest.raises(UsageError, match="is no result"), results_file(path, Row, resume=True):
        pass


def test_results_that_cannot_be_written_are_an_error_of_ours(tmp_path, base):
    with pytest.raises(ResultsFailed), results_file(tmp_path / "absent" / "results.jsonl", Row):
        pass
    with pytest.raises(ResultsFailed, match="No space left"), results_file(path_full(), Row) as (known, keep):
        evaluate(base, ASKED[:1], known=known, keep=keep)


def path_full():
    from pathlib import Path

    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    return full


def test_nothing_to_ask_and_nothing_to_be_asked_of(base, embedder):
    with pytest.raises(UsageError, match="no questions"):
        evaluate(base, [])
    for ks in ([], [0], [1001]):
        with pytest.raises(UsageError, match="cannot be"):
            evaluate(base, ASKED, ks=ks)
    empty = KnowledgeBase("none", embedder=embedder, store=open_store("none", RagSettings(store="memory")))
    with pytest.raises(IndexNotFound):
        evaluate(empty, ASKED)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("diversity=2", "outside"),
        ("diversity_by=colour", "none of words, vectors"),
        ("parents=maybe", "not on or off"),
        ("rewrite=99", "0 to 10"),
        ("where=x", "is no option"),
    ],
)
def test_options_of_search_are_checked(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse_setting(text)


def test_a_question_sees_what_its_conditions_let_it_see(base):
    (source,) = [name for name in base.documents() if name.endswith("lake.txt")]
    (row,) = evaluate(base, [replace(ASKED[0], where=where({"source": source}))]).rows
    assert {hit["source"] for hit in row.hits} == {source}
    assert row.metrics["recall@10"] == 0.0

"""Feedback in the browser: kept at once, never twice, found again after a reload, and each person's own."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from alignment.errors import FeedbackError
from alignment.feedback import Feedback
from decoder.types import Sampling, assistant, user
from rag.types import Answer, Hit, Passage
from ui.browser import feedback_exchange as kept
from ui.browser.feedback_exchange import Given

PASSAGE = Passage("p1", "The rent is 900 euros.", "lease.pdf", "Lease", 0, 22, 1, 1, page=2)
ANSWER = Answer("The rent is 900 euros [1].", passages=(Hit(PASSAGE, 0.5),), generated=True)


@pytest.fixture
def given(home):
    history = (user("How far is the moon?"), assistant("I do not know."))
    return Given("How much is the rent?", ANSWER, history, "little", Sampling(temperature=0.3), "c1", "ann")


def below(given):
    """The script of a page with one answer."""
    from ui.browser.feedback_view import show_feedback

    show_feedback(given, "a1")


def beside(given, answers):
    """The script of a page with two answers."""
    from ui.browser.feedback_view import show_ranking

    show_ranking(given, answers, "r1")


def run(script, *args):
    page = AppTest.from_function(script, args=args, default_timeout=30).run()
    assert not page.exception
    return page


def votes():
    return [event.vote for event in Feedback().events() if event.kind == "vote"]


# What is kept


def test_a_thumb_keeps_the_answer_with_all_that_it_was_made_from(given):
    page = run(below, given)
    page.feedback[0].set_value(1).run()
    (event,) = Feedback().events()
    assert (event.kind, event.vote, event.person) == ("vote", 1, "ann")
    exchange = event.exchange
    assert [message["content"] for message in exchange.prompt] == [
        "How far is the moon?",
        "I do not know.",
        "How much is the rent?",
    ]
    assert (exchange.response, exchange.model, exchange.conversation) == (ANSWER.text, "little", "c1")
    assert exchange.sampling["temperature"] == 0.3
    assert [(shown.text, shown.label) for shown in exchange.context] == [
        ("The rent is 900 euros.", "lease.pdf, page 2")
    ]


def test_an_answer_without_documents_is_the_models_and_a_quoted_one_is_nobodys(given):
    kept.keep_vote(replace(given, answer=Answer("Paris.")), 1)
    kept.keep_vote(replace(given, answer=replace(ANSWER, generated=False)), 1)
    kept.keep_vote(replace(given, answer=Answer("The documents do not say.", refused=True)), -1)
    assert [event.exchange.model for event in Feedback().events()] == ["little", "extractive", "extractive"]


def test_reruns_and_a_reload_add_nothing_and_show_what_was_given(given):
    page = run(below, given)
    page.feedback[0].set_value(0).run()
    for _ in range(3):
        page.run()
    again = run(below, given)
    assert again.feedback[0].value == 0
    again.run()
    assert votes() == [-1]


def test_a_changed_mind_takes_the_place_of_what_was_said(given):
    page = run(below, given)
    page.feedback[0].set_value(1).run()
    page.feedback[0].set_value(0).run()
    assert votes() == [-1]
    assert len(Feedback().events(retracted=True)) == 2
    page.feedback[0].set_value(None).run()
    assert votes() == []


def test_two_tabs_that_say_the_same_say_it_once(given):
    one, other = run(below, given), run(below, given)
    one.feedback[0].set_value(1).run()
    other.feedback[0].set_value(1).run()
    assert votes() == [1]
    one.feedback[0].set_value(None).run()
    other.feedback[0].set_value(None).run()
    assert votes() == [] and not other.error


def test_each_person_sees_and_changes_their_own_alone(given):
    kept.keep_vote(given, 1)
    for person in ("bob", ""):
        other = replace(given, person=person)
        assert run(below, other).feedback[0].value is None
        kept.keep_vote(other, -1)
        kept.keep_vote(other, 0)
    assert kept.said(given).vote.vote == 1
    with pytest.raises(FeedbackError, match="another person's"):
        kept.take_back(replace(given, person="bob"), [kept.said(given).vote])


def test_an_answer_is_known_by_its_conversation_question_and_text(given):
    kept.keep_vote(given, 1)
    assert kept.said(given).vote is not None
    for other in (
        replace(given, conversation="c2"),
        replace(given, conversation=""),
        replace(given, history=()),
        replace(given, question="And?"),
        given.answered("Else."),
    ):
        assert kept.said(other).vote is None


# Words


def test_a_better_answer_begins_from_the_answer_and_is_kept(given):
    page = run(below, given)
    text = page.text_area(key="a1-better")
    assert text.value == ANSWER.text
    text.set_value("900 euros a month [1].")
    page.button(key="a1-better-save").click().run()
    assert [event.edit for event in Feedback().events()] == ["900 euros a month [1]."]
    again = run(below, given)
    assert again.text_area(key="a1-better").value == "900 euros a month [1]."
    again.text_area(key="a1-better").set_value("900 euros [1].")
    again.button(key="a1-better-save").click().run()
    assert [event.edit for event in Feedback().events()] == ["900 euros [1]."]
    again.button(key="a1-edit-back").click().run()
    assert Feedback().count() == 0
    assert again.text_area(key="a1-better").value == ANSWER.text


@pytest.mark.parametrize("text", ["", "  ", ANSWER.text])
def test_a_better_answer_that_changes_nothing_is_not_kept(given, text):
    page = run(below, given)
    page.text_area(key="a1-better").set_value(text)
    page.button(key="a1-better-save").click().run()
    assert "Change it" in page.info[0].value
    assert not Feedback().path.exists()


def test_a_comment_belongs_to_the_vote_and_can_be_taken_back(given):
    page = run(below, given)
    page.feedback[0].set_value(0).run()
    page.text_area(key="a1-comment").set_value("It forgets the deposit.")
    page.button(key="a1-comment-save").click().run()
    vote, comment = Feedback().events()
    assert (comment.comment, comment.target) == ("It forgets the deposit.", vote.id)
    page.run()
    assert Feedback().count() == 2
    page.button(key="a1-comment-back").click().run()
    assert [event.kind for event in Feedback().events()] == ["vote"]
    assert page.text_area(key="a1-comment").value == ""


def test_a_store_that_cannot_be_used_is_one_sentence(given):
    Feedback().path.write_text("mine " * 100)
    page = run(below, given)
    assert "feedback store" in page.error[0].value.replace("\\", "")


# Two answers

TWO = ("The rent is 900 euros [1].", "I cannot say.")


@pytest.mark.parametrize(("verdict", "ranks"), [("left", (1, 2)), ("right", (2, 1))])
def test_the_better_of_two_answers_is_a_ranking_that_training_uses(given, tmp_path, verdict, ranks):
    page = run(beside, given, TWO)
    page.text_input[0].set_value("It cites.")
    page.button(key=f"r1-{verdict}").click().run()
    page.run()
    (event,) = Feedback().events()
    assert (event.kind, event.responses, event.ranks, event.comment) == ("ranking", TWO, ranks, "It cites.")
    report = Feedback().export("dpo", tmp_path / "pairs.jsonl")
    (row,) = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    better = TWO[ranks.index(1)]
    assert (report.rows, row["chosen"][0]["content"]) == (1, better)
    assert "900 euros" in row["prompt"][-1]["content"]  # the passage that was shown
    assert f"{verdict} answer better" in "".join(each.value for each in run(beside, given, TWO).markdown)


@pytest.mark.parametrize(("verdict", "vote"), [("both", 1), ("neither", -1)])
def test_two_equal_answers_are_a_tie_and_a_thumb_on_each(given, tmp_path, verdict, vote):
    page = run(beside, given, TWO)
    page.button(key=f"r1-{verdict}").click().run()
    assert [event.ranks for event in Feedback().events() if event.kind == "ranking"] == [(1, 1)]
    assert votes() == [vote, vote]
    assert kept.ranked(given, TWO).verdict == verdict
    assert Feedback().export("kto", tmp_path / "votes.jsonl").rows == 2
    page.button(key="r1-rank-back").click().run()
    assert Feedback().count() == 0


def test_thumbs_that_come_of_a_comparison_are_shown_below_the_answers(given):
    def both_below_and_beside(given, answers):
        from ui.browser.feedback_view import show_feedback, show_ranking

        show_feedback(given, "a1")
        show_ranking(given, answers, "r1")

    page = run(both_below_and_beside, given, TWO)
    page.button(key="r1-neither").click().run()
    assert page.feedback[0].value == 0
    page.button(key="r1-rank-back").click().run()
    assert page.feedback[0].value is None


def test_a_ranking_is_kept_once_and_another_takes_its_place(given):
    for verdict in ("neither", "neither", "left", "left"):
        kept.keep_ranking(given, TWO, verdict)
    assert [event.kind for event in Feedback().events()] == ["ranking"]
    assert kept.ranked(given, TWO).verdict == "left"
    assert kept.ranked(given, TWO[::-1]).verdict == "right"
    assert kept.ranked(replace(given, person="bob"), TWO) is None


def test_equal_answers_cannot_be_compared(given):
    page = run(beside, given, ("Same.", "Same."))
    assert "the same" in page.info[0].value
    assert not page.button


def test_answers_are_shown_without_harm(given):
    page = run(beside, given, ("<b>x</b> ![](http://evil.example/a.png)", "y"))
    assert all("![](" not in each.value for each in page.markdown)


def test_keeping_feedback_loads_no_training_library(tmp_path):
    code = (
        "import sys; from ui.browser import feedback_exchange as kept; from rag.types import Answer;"
        "g = kept.Given('q', Answer('a', generated=True), model='sft-mine-0123abcd', conversation='c', person='p');"
        "kept.keep_vote(g, 1); kept.keep_ranking(g, ('a', 'b'), 'left'); assert kept.said(g).vote;"
        "print(sorted({'torch', 'transformers', 'trl', 'pandas', 'streamlit', 'numpy'} & set(sys.modules)))"
    )
    environment = {"HEARTH_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr

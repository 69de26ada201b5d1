"""The chat page in each of its states, run by AppTest."""

import sys

import pytest

from rag.types import Answer, Hit, Passage
from ui.browser import chat_answering
from ui.browser.chat_settings import ChatSettings
from ui.browser.safe_text import safe_markdown

pytest_plugins = ["tests.browser.chat_support"]
PLAIN = ChatSettings()


def conversation(store, *turns, kb="", title="The rent"):
    """A conversation of (question, state, text) turns, one after the other."""
    made, parent = store.create("", kb, PLAIN, title), ""
    for question, state, text in turns:
        turn = store.begin(made.id, "", question, parent, kb, PLAIN)
        answer = Answer(text, generated=True) if state == "done" else None
        error = {"step": "asking", "cause": "the server died", "remedy": "Start it again"} if state == "failed" else {}
        store.end(turn.id, state, text, answer, "mock", error)
        parent = turn.id
    return made


def shown(page):
    return " ".join(each.value for each in [*page.markdown, *page.caption, *page.error, *page.warning]).replace(
        "\\", ""
    )


def button(page, key):
    return next(each for each in page.button if (each.key or "").startswith(key))


@pytest.fixture
def open_chat(open_page):
    return lambda made=None: open_page("chat", **({"chat-id": made.id} if made else {}))


def test_with_nothing_configured_it_offers_the_example(open_chat):
    page = open_chat()
    assert "Welcome" in shown(page) and button(page, "chat-example")
    assert button(page, "chat-stop").disabled


def test_with_documents_it_suggests_questions_and_one_press_asks(open_chat, lease):
    page = open_chat()
    assert not any(each.key == "chat-example" for each in page.button)
    button(page, "chat-suggested-1").click().run()
    assert not page.exception and "What does “lease” say?" in shown(page)


def test_a_question_is_answered(open_chat, served, kept):
    page = open_chat()
    page.chat_input[0].set_value("Hello?").run()
    assert not page.exception and "Hello from the model." in shown(page)
    (made,) = kept.find("")
    assert made.title == "Hello?" and page.query_params["chat"] in (made.id, [made.id])
    assert button(page, f"chat-open-{made.id}").label == "Hello\\?"


def test_a_refusal_is_calm_and_shows_the_passages(open_chat, kept):
    made = kept.create("", "default", PLAIN, "x")
    turn = kept.begin(made.id, "", "Why?", "", "default", PLAIN)
    near = Hit(Passage("1", "near", "lease.txt", "lease", 0, 4, 1, 1), 0.1)
    kept.end(turn.id, "done", "", Answer("The documents do not say.", passages=(near,), refused=True))
    page = open_chat(made)
    assert "came nearest are below" in shown(page) and not page.error


def test_a_failed_answer_keeps_its_text_and_can_be_tried_again(open_chat, kept, served):
    page = open_chat(conversation(kept, ("Hello?", "failed", "Half of")))
    assert all(word in shown(page) for word in ("Half of", "the server died", "Start it again"))
    again = button(page, "chat-again")
    assert again.label == "Try again"
    again.click().run()
    assert "Hello from the model." in shown(page) and "2 of 2" in shown(page) and not page.error


def test_a_stopped_and_an_interrupted_answer_say_so(open_chat, kept):
    page = open_chat(conversation(kept, ("One?", "stopped", "Once"), ("Two?", "interrupted", "Twice")))
    assert "Stopped." in shown(page) and "Hearth was closed" in shown(page)
    assert "Once" in shown(page) and "Twice" in shown(page)


def test_edit_and_resend_makes_a_version_and_both_can_be_looked_at(open_chat, kept, served):
    page = open_chat(conversation(kept, ("First?", "done", "Old."), ("Then?", "done", "Later.")))
    button(page, "chat-edit-button").click().run()
    page.text_area[0].set_value("First, please?")
    button(page, "chat-edit-send").click().run()
    assert "Hello from the model." in shown(page) and "Old." not in shown(page) and "Later." not in shown(page)
    assert "2 of 2" in shown(page)
    button(page, "chat-previous").click().run()
    assert "Old." in shown(page) and "Later." in shown(page) and "1 of 2" in shown(page)


def test_only_the_latest_turns_are_drawn_until_asked(open_chat, kept):
    page = open_chat(conversation(kept, *((f"q{n}?", "done", f"a{n}") for n in range(30))))
    assert "a29" in shown(page) and "a20" not in shown(page)
    button(page, "chat-earlier-button").click().run()
    assert "a20" in shown(page)


def test_conversations_are_searched_renamed_and_deleted(open_chat, kept):
    rent, bread = conversation(kept, ("R?", "done", "900")), conversation(kept, ("B?", "done", "rye"), title="Bread")
    page = open_chat(rent)
    page.text_input(key="chat-search").set_value("RYE").run()
    assert [each.key for each in page.button if (each.key or "").startswith("chat-open-")] == [f"chat-open-{bread.id}"]
    page.text_input(key=f"chat-title-{rent.id}").set_value("Lease").run()
    assert kept.conversation(rent.id, "").title == "Lease"
    button(page, "chat-delete").click().run()
    button(page, "chat-delete-yes").click().run()
    assert not page.exception and [each.id for each in kept.find("")] == [bread.id]


def test_settings_are_kept_with_the_conversation_and_reset(open_chat, kept, lease):
    made = conversation(kept, ("One?", "done", "Once"))
    page = open_chat(made)
    next(each for each in page.number_input if each.label == "Temperature").set_value(0.5).run()
    next(each for each in page.selectbox if each.label == "Knowledge base").set_value("default").run()
    found = kept.conversation(made.id, "")
    assert not page.exception and (found.kb, found.settings.temperature) == ("default", 0.5)
    button(page, "chat-reset").click().run()
    assert kept.conversation(made.id, "").settings == PLAIN


def test_two_answers_are_compared_and_the_better_stays(open_chat, kept, served):
    page = open_chat(conversation(kept, ("One?", "done", "The first.")))
    button(page, "chat-compare-go").click().run()
    assert not page.exception and "The first." in shown(page) and "Hello from the model." in shown(page)
    button(page, "chat-keep-left").click().run()
    assert "The first." in shown(page) and "Hello from the model." not in shown(page) and "1 of 2" in shown(page)


def test_an_answer_under_way_is_found_again(open_chat, kept, served):
    served.reply, served.pace = (lambda messages: "slowly " * 40), 0.02
    made = kept.create("", "", PLAIN, "Slow")
    answering = chat_answering.ask(kept, "", made.id, "Hello?", "", "", PLAIN)
    page = open_chat(made)  # follows it to its end
    assert not page.exception and shown(page).count("slowly") == 40
    assert answering.state == "done" and button(page, "chat-stop").disabled


def test_another_persons_conversation_is_not_shown(open_chat, kept):
    theirs = kept.create("ann", "", PLAIN, "Ann's secret")
    page = open_chat(theirs)
    assert "no such conversation" in shown(page) and "Ann" not in shown(page)
    assert not any("Ann" in each.label for each in page.button)


def test_people_see_and_are_told_of_their_own_things_alone(open_chat, kept, lease, monkeypatch):
    anns = kept.create("ann", "", PLAIN, "Ann's secret")
    mine = conversation(kept, ("One?", "done", "Once"))
    monkeypatch.setenv("HEARTH_UI_TRUSTED_HEADER", "X-Forwarded-User")
    monkeypatch.setattr("ui.browser.person._header", lambda: "bob")
    page = open_chat(mine)
    assert "no such conversation" in shown(page) and "Once" not in shown(page)
    assert not any((each.key or "").startswith("chat-open-") for each in page.button)
    base = next(each for each in page.selectbox if each.label == "Knowledge base")
    assert base.options == ["None: talk with the model"]
    monkeypatch.setattr("ui.browser.person._header", lambda: "ann")
    page.session_state["chat-id"] = anns.id
    page.run()
    assert [each.key for each in page.button if (each.key or "").startswith("chat-open-")] == [f"chat-open-{anns.id}"]


def test_texts_are_not_obeyed(open_chat, kept):
    page = open_chat(conversation(kept, ("![x](http://evil/q)", "done", "![x](http://evil/a)"), title=":red[*x*]"))
    assert "![x](" not in " ".join(each.value for each in page.markdown)
    assert any(each.label == "\\:red\\[\\*x\\*\\]" for each in page.button)


def test_where_knowledge_bases_cannot_be_listed_one_can_still_talk_and_read(open_chat, kept, served, monkeypatch):
    from rag.errors import StoreFailed
    from ui.cli import wiring

    def down():
        raise StoreFailed("listing", "the server does not answer", "Start it")

    monkeypatch.setattr(wiring, "knowledge_bases", down)
    page = open_chat(conversation(kept, ("One?", "done", "Once")))
    assert "the server does not answer" in shown(page) and "Once" in shown(page)
    page.chat_input[0].set_value("Two?").run()
    assert "Hello from the model." in shown(page)


def test_a_side_that_fails_leaves_the_conversation_where_it_is(open_chat, kept, monkeypatch):
    def broken(page):
        raise ZeroDivisionError

    monkeypatch.setattr("ui.browser.chat_sidebar.show_sidebar", broken)
    page = open_chat(conversation(kept, ("One?", "done", "Once")))
    assert "Once" in shown(page) and page.chat_input


def test_a_damaged_file_of_conversations_is_told_of(open_page, home):
    (home / "conversations.sqlite").write_bytes(b"not a database" * 100)
    page = open_page("chat")
    assert "damaged" in page.error[0].value


def test_a_rerun_asks_the_store_no_oftener_and_makes_no_text_safe_anew_however_long_the_conversation(
    open_chat, kept, monkeypatch
):
    """`benchmarks.ui_load` measures how long a rerun takes."""
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

    run, executed = ScriptRunner._run_script, []

    def counted(self, *arguments):
        def watch(frame, event, called):
            if event == "c_call" and called.__name__ == "execute":
                executed.append(called)

        sys.setprofile(watch)  # of this script's thread alone
        try:
            run(self, *arguments)
        finally:
            sys.setprofile(None)

    def of_a_rerun(turns):
        page = open_chat(conversation(kept, *((f"q{n}?", "done", f"a{n} of {turns} " * 50) for n in range(turns))))
        assert f"a{turns - 1} of {turns}" in shown(page)
        before = safe_markdown.cache_info().misses
        executed.clear()
        page.run()
        return len(executed), safe_markdown.cache_info().misses - before

    monkeypatch.setattr(ScriptRunner, "_run_script", counted)
    few, many = of_a_rerun(3), of_a_rerun(30)
    assert few[0] > 0
    assert many == few == (few[0], 0)

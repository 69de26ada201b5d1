"""The long way, in a real browser and against a real vLLM: an answer in the chat is mended, the better answer becomes a
data set, a short training, a promoted adapter; and the chat answers with it. In the middle the app is killed.

The server is the session's; what this test loads it unloads again.
"""

import json
import re
import sqlite3
from contextlib import closing

import pytest

from decoder import alias
from decoder.server_http import model_names
from tests.browser.conftest import free_port, running_ui

pytestmark = [pytest.mark.vllm, pytest.mark.browser, pytest.mark.timeout(600)]
QUESTION = "Who gathers round the hearth?"
BETTER = "People gather round it in the evening."
SLOW = 120_000
"""Milliseconds that a step may take; in some, a process starts that loads the libraries of training."""


@pytest.fixture
def place(vllm_server, vllm_home, tmp_path, monkeypatch):
    """Settings of a registry, a feedback file and knowledge bases of the test's own; afterwards the server serves its
    base alone. The chat would answer from a knowledge base that another test left in the server's home.
    """
    monkeypatch.setenv("HEARTH_HOME", str(vllm_home))
    yield {
        "HEARTH_ALIGNMENT_MODELS": str(tmp_path / "models"),
        "HEARTH_ALIGNMENT_FEEDBACK": str(tmp_path / "feedback.sqlite"),
        "HEARTH_RAG_INDEX_FOLDER": str(tmp_path / "indexes"),
        "HF_HUB_OFFLINE": "1",
    }
    alias.file().unlink(missing_ok=True)
    for name in model_names(vllm_server.base_url)[1:]:
        vllm_server.unload_adapter(name)


def button(window, name, exact=True):
    return window.get_by_role("button", name=name, exact=exact)


def set_number(window, label, value):
    field = window.get_by_role("spinbutton", name=label, exact=True)
    field.fill(str(value))
    field.press("Enter")


def go_to(window, page, view):
    window.get_by_role("link", name=page, exact=True).click()
    window.get_by_role("heading", name=page, exact=True).wait_for()
    if view:
        window.get_by_role("radio", name=view).or_(button(window, view, exact=False)).first.click()


def ask(window):
    """The question in a new chat, drawn without chance and of few tokens."""
    button(window, "New chat").click()
    button(window, "Settings").click()
    set_number(window, "Temperature", 0)
    set_number(window, "Longest answer, in tokens", 24)
    window.keyboard.press("Escape")
    line = window.get_by_test_id("stChatInputTextArea")
    line.fill(QUESTION)
    line.press("Enter")
    button(window, "Write a better answer").or_(button(window, "Your better answer is kept.")).first.wait_for()


def model_of_the_last_answer(home):
    with closing(sqlite3.connect(f"file:{home / 'conversations.sqlite'}?mode=ro", uri=True)) as kept:
        return kept.execute("SELECT model FROM turns ORDER BY number DESC LIMIT 1").fetchone()[0]


def test_from_a_better_answer_in_the_chat_to_a_chat_that_answers_so(place, vllm_home, vllm_server, window, tmp_path):
    from playwright.sync_api import expect

    port = free_port()
    window.set_default_timeout(SLOW)
    with running_ui(vllm_home, port, **place) as live:
        window.goto(live.url)
        window.get_by_role("heading", name="Chat", exact=True).wait_for()
        ask(window)
        answer = window.get_by_test_id("stChatMessage").last
        expect(answer).not_to_contain_text(BETTER)
        button(window, "Write a better answer").click()
        window.get_by_role("textbox", name="The answer as it should have been").fill(BETTER)
        button(window, "Keep the better answer").click()
        button(window, "Your better answer is kept.").wait_for()

        go_to(window, "Alignment", "Feedback")
        button(window, "Make the data set", exact=False).click()
        button(window, "Look at it", exact=False).click()
        button(window, "Train on", exact=False).click()
        expect(window.get_by_role("combobox", name="Model to teach", exact=False)).to_have_value(
            "tiny-llama, served now"
        )
        set_number(window, "Steps", 40)
        set_number(window, "LoRA rank", 8)  # as the server takes at most
        button(window, "Start training", exact=False).click()
        window.get_by_role("heading", name=re.compile("preparing|training")).wait_for()
        live.kill()  # the run knows nothing of the app

    with running_ui(vllm_home, port, **place) as live:
        window.goto(f"{live.url}/alignment")
        go_to(window, "Alignment", "Runs")
        button(window, "See the model and promote it", exact=False).click()

        held_out = window.get_by_role("combobox", name="Held-out rows", exact=False)
        held_out.click()
        held_out.fill("feedback-sft")
        held_out.press("Enter")
        window.get_by_text("The gate's rules").click()
        for label, value in (("Least questions", 1), ("Rows used", 1), ("Tokens an answer", 4)):
            set_number(window, label, value)
        button(window, "Measure and promote", exact=False).click()
        window.get_by_text("answers for tiny-llama from now on", exact=False).wait_for()
        adapter = alias.resolve("tiny-llama")
        assert re.fullmatch(r"sft-small(-\d+)?-[0-9a-f]{8}", adapter)
        assert adapter in model_names(vllm_server.base_url)

        window.get_by_role("link", name="Ask it something").click()
        ask(window)
        expect(window.get_by_test_id("stChatMessage").last).to_contain_text(BETTER)
        assert model_of_the_last_answer(vllm_home) == adapter

        go_to(window, "Alignment", "Models")
        button(window, "Roll back", exact=False).first.click()
        button(window, "Roll back").last.click()
        window.get_by_text("the base model itself", exact=False).wait_for()
    assert alias.resolve("tiny-llama") == "tiny-llama"
    events = [json.loads(line)["event"] for line in (tmp_path / "models" / "history.jsonl").read_text().splitlines()]
    assert events == ["register", "load", "promote", "rollback"]

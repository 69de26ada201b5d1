"""Answers written in the background: found again, stopped for real, kept when the decoder dies."""

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from decoder.errors import UsageError
from ui.browser import chat_answering, chat_models
from ui.browser.chat_settings import ChatSettings
from ui.browser.safe_text import plain

HOUSE = Path(__file__).resolve().parents[2]
pytest_plugins = ["tests.browser.chat_support"]
PLAIN = ChatSettings()
LONG = " ".join(f"word{number}" for number in range(400))


def put(store, question="Hello?", kb="", settings=PLAIN, **more):
    conversation = more.pop("conversation", None) or store.create("", kb, settings, question)
    return chat_answering.ask(store, "", conversation.id, question, "", kb, settings, **more)


def wait_until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert true()


def test_plain_talk_is_written_and_kept(kept, served):
    answering = put(kept)
    assert answering.wait(10)
    turn = kept.turn(answering.turn.id, "")
    assert (turn.state, turn.answer.text, turn.answer.generated) == ("done", "Hello from the model.", True)
    assert turn.model == "mock" and chat_answering.running(turn.id) is None


def test_without_a_server_hearth_tiny_answers_once_it_is_chosen(kept, tiny_stand_in, open_page):
    chat_models.forget()
    page = open_page("chat")
    (model,) = (each for each in page.selectbox if str(each.key).startswith("chat-model-"))
    assert plain("hearth-tiny") in model.options
    assert model.value == ""
    answering = put(kept, settings=ChatSettings(model="hearth-tiny", max_tokens=4, seed=1))
    assert answering.wait(60)
    turn = kept.turn(answering.turn.id, "")
    assert turn.state == "done", turn.error
    assert turn.answer.generated


def test_the_settings_reach_the_decoder(kept, served):
    answering = put(kept, settings=ChatSettings(temperature=0.7, top_p=0.5, max_tokens=33, seed=5))
    assert answering.wait(10)
    asked = served.asked[-1]
    assert (asked["temperature"], asked["top_p"], asked["seed"]) == (0.7, 0.5, 5)
    assert 33 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))


def test_an_answer_from_documents_is_checked(kept, served, lease):
    served.reply = lambda messages: "The rent is 900 euros a month [1]. The moon is made of cheese [1]."
    answering = put(kept, "How much is the rent?", kb=lease, settings=ChatSettings(temperature=0.3))
    assert answering.wait(30)
    turn = kept.turn(answering.turn.id, "")
    assert turn.state == "done" and turn.answer.citations[0].quote.startswith("The rent is 900")
    assert "cheese" not in turn.answer.text and "cheese" in turn.text
    assert served.asked[-1]["temperature"] == 0.3


def test_without_a_model_documents_are_quoted(kept, lease):
    answering = put(kept, "How much is the rent?", kb=lease, settings=ChatSettings(quote=True))
    assert answering.wait(30)
    turn = kept.turn(answering.turn.id, "")
    assert "900 euros" in turn.answer.text and not turn.answer.generated and turn.model == ""


def test_without_a_model_and_documents_it_says_what_helps(kept):
    answering = put(kept)
    assert answering.wait(10)
    turn = kept.turn(answering.turn.id, "")
    assert turn.state == "failed" and "hearth serve" in turn.error["remedy"]


def test_stop_ends_the_request_at_the_server(kept, served):
    served.reply, served.pace = (lambda messages: LONG), 0.02
    left = served.left
    answering = put(kept)
    wait_until(lambda: "word3" in answering.text)
    answering.stop()
    assert answering.wait(5)
    wait_until(lambda: served.left == left + 1)
    sent = served.sent
    time.sleep(0.1)
    assert served.sent == sent
    turn = kept.turn(answering.turn.id, "")
    assert turn.state == "stopped" and turn.text.startswith("word0 word1") and turn.answer is None


def test_stop_before_anything_was_written(kept, served):
    served.pace = 0.5
    answering = put(kept)
    answering.stop()
    assert answering.wait(5)
    assert kept.turn(answering.turn.id, "").state == "stopped"


def test_stop_while_documents_are_looked_through(kept, served, lease):
    answering = put(kept, "How much is the rent?", kb=lease)
    answering.stop()
    assert answering.wait(30)
    assert kept.turn(answering.turn.id, "").state == "stopped"


def test_what_was_written_is_kept_every_second(kept, served):
    served.reply, served.pace = (lambda messages: LONG), 0.02
    answering = put(kept)
    wait_until(lambda: kept.turn(answering.turn.id, "").text.startswith("word0"))
    assert kept.turn(answering.turn.id, "").state == "running"
    answering.stop()
    assert answering.wait(5)


DYING = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        body = json.dumps({"data": [{"id": "mortal"}]}).encode()
        self.send_response(200); self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        self.send_response(200); self.send_header("Content-Type", "text/event-stream"); self.end_headers()
        for word in ("I", " was", " about"):
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            self.wfile.write(b"data: " + json.dumps({"model": "mortal", "choices": [choice]}).encode() + b"\\n\\n")
        self.wfile.flush(); os._exit(1)
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_a_server_that_dies_midway_leaves_what_it_wrote_and_a_remedy(kept, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", DYING], stdout=subprocess.PIPE) as server:
        monkeypatch.setenv("HEARTH_DECODER_BASE_URL", f"http://127.0.0.1:{int(server.stdout.readline())}/v1")
        monkeypatch.setenv("HEARTH_DECODER_PRESET", "openai")
        answering = put(kept)
        assert answering.wait(20)
    turn = kept.turn(answering.turn.id, "")
    assert turn.state == "failed" and turn.text.startswith("I") and turn.error["cause"] and turn.error["remedy"]
    conversation = kept.conversation(turn.conversation, "")
    with pytest.raises(UsageError):
        chat_answering.ask(kept, "", conversation.id, " ", "", "", PLAIN)
    chat_answering.ask(kept, "", conversation.id, turn.question, turn.parent, "", PLAIN).wait(20)
    assert len(kept.turns(conversation.id, "")) == 2


def test_one_answer_a_conversation(kept, served):
    served.reply, served.pace = (lambda messages: LONG), 0.02
    conversation = kept.create("", "", PLAIN, "x")
    answering = put(kept, conversation=conversation)
    with pytest.raises(UsageError, match="being written"):
        put(kept, conversation=conversation)
    answering.stop()
    assert answering.wait(5)


def test_no_more_at_once_than_allowed(kept, served, monkeypatch):
    monkeypatch.setattr(chat_answering, "MOST_AT_ONCE", 0)
    conversation = kept.create("", "", PLAIN, "x")
    with pytest.raises(UsageError, match="Try again in a moment"):
        put(kept, conversation=conversation)
    assert kept.turns(conversation.id, "") == []


def test_follow_gives_the_first_word_at_once_and_then_no_more_than_five_a_second(kept, served):
    served.reply, served.pace = (lambda messages: LONG), 0.01
    answering, seen = put(kept), []
    for text in answering.follow():
        if text:
            seen.append((time.monotonic(), text))
        if len(seen) == 4:
            break
    answering.stop()
    assert answering.wait(5)
    assert len(seen[0][1].split()) < 10
    gaps = [after - before for (before, _), (after, _) in pairwise(seen)]
    assert min(gaps) > 0.15
    assert all(later.startswith(earlier) for (_, earlier), (_, later) in pairwise(seen))


def test_a_question_waits_for_the_files_that_came_with_it(kept, served, monkeypatch):
    from ui.browser import jobs

    states = iter(["running", "running", "failed"])
    job = jobs.Job("1", Path("x"), "index", "t", "", 0.0, {}, "running")

    def find(job_id, person):
        from dataclasses import replace

        return replace(job, state=next(states), error={"cause": "the file is damaged", "remedy": "Save it anew"})

    monkeypatch.setattr(jobs, "find", find)
    answering = put(kept, job="20260101-000000-abcdef")
    assert answering.wait(10)
    turn = kept.turn(answering.turn.id, "")
    assert turn.state == "failed" and turn.error["cause"] == "the file is damaged"


def test_nobody_is_answered_from_anothers_documents(kept, served, lease):
    conversation = kept.create("bob", lease, PLAIN, "The lease of somebody else")
    answering = chat_answering.ask(kept, "bob", conversation.id, "How much?", "", lease, PLAIN)
    assert answering.wait(10)
    turn = kept.turn(answering.turn.id, "bob")
    assert turn.state == "failed" and "no knowledge base of this name" in turn.error["cause"]


def test_a_question_does_not_wait_for_ever_for_its_files(kept, served, monkeypatch):
    from ui.browser import chat_written, jobs

    job = jobs.Job("1", Path("x"), "index", "t", "", 0.0, {}, "running")
    monkeypatch.setattr(jobs, "find", lambda job_id, person: job)
    monkeypatch.setattr(chat_written, "LONGEST_READING", 0.0)
    answering = put(kept, job="20260101-000000-abcdef")
    assert answering.wait(10)
    assert kept.turn(answering.turn.id, "").error["cause"] == "it takes too long"


def test_a_bug_in_keeping_what_was_written_does_not_keep_the_answer_from_ending(kept, served, monkeypatch):
    def broken(turn, text):
        raise ZeroDivisionError

    monkeypatch.setattr(chat_answering, "KEEP_SECONDS", 0.01)
    monkeypatch.setattr(kept, "write", broken)
    served.reply, served.pace = (lambda messages: "one two three four five six"), 0.02
    answering = put(kept)
    assert answering.wait(10)
    assert kept.turn(answering.turn.id, "").state == "done"


def test_models_are_listed_and_a_dead_server_does_not_hold_the_page(kept, served, monkeypatch):
    wait_until(lambda: chat_models.models().names == ("mock",))
    assert chat_models.models().decoder
    from ui.browser import opened

    opened.decoder().close()
    opened.forget_decoders()
    chat_models.forget()
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", "http://127.0.0.1:9/v1")
    began = time.monotonic()
    chat_models.models()
    assert time.monotonic() - began < 1.0
    wait_until(lambda: chat_models.models().problem is not None)


KILLED = """
import sys, time
from ui.browser import chat_answering
from ui.browser.chat_settings import ChatSettings
from ui.browser.safe_text import plain
from ui.browser.chat_store import store
kept = store()
c = kept.create("", "", ChatSettings(), "x")
answering = chat_answering.ask(kept, "", c.id, "Hello?", "", "", ChatSettings())
while "word5" not in kept.turn(answering.turn.id, "").text:
    time.sleep(0.02)
print(c.id, flush=True)
time.sleep(60)
"""


def test_a_killed_app_leaves_an_interrupted_turn_with_its_text(kept, served, home):
    served.reply, served.pace = (lambda messages: LONG), 0.02
    environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=HOUSE, env=environment, stdout=subprocess.PIPE) as app:
        conversation = app.stdout.readline().decode().strip()
        app.kill()
    (turn,) = kept.turns(conversation, "")
    assert turn.state == "interrupted" and turn.text.startswith("word0 word1")
    assert json.loads(json.dumps(turn.text)) == turn.text

"""Conversations in SQLite: trees of turns, by person, durable."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import UsageError
from rag.types import Answer, Citation, Hit, Passage
from ui.browser import chat_tree
from ui.browser.chat_export import as_json, as_markdown, file_name
from ui.browser.chat_json import AnswerDamaged, answer_as_json, answer_from_json
from ui.browser.chat_schema import VERSION, ConversationsDamaged, ConversationsNewer
from ui.browser.chat_settings import ChatSettings, settings_from
from ui.browser.chat_store import LONGEST_TITLE, MOST_QUESTION, Store

HOUSE = Path(__file__).resolve().parents[2]
PLAIN = ChatSettings()
WARM = ChatSettings(model="adapter-1", prompt="brief", temperature=0.7, top_p=0.9, max_tokens=64, seed=3)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "conversations.sqlite")
    yield opened
    opened.close()


def talk(store, person="", title="The lease", kb=""):
    return store.create(person, kb, PLAIN, title)


def asked(store, conversation, question, parent="", text="So it is.", person=""):
    turn = store.begin(conversation.id, person, question, parent, conversation.kb, PLAIN)
    store.end(turn.id, "done", text, Answer(text, generated=True), "mock")
    return store.turn(turn.id, person)


# Answers as JSON

texts = st.text(st.characters(codec=None), max_size=12)
whole = st.integers(-(2**53), 2**53)
numbers = st.floats(allow_nan=False)
values = st.one_of(texts, st.booleans(), whole, numbers, st.lists(texts, max_size=2).map(tuple))
passages = st.builds(
    Passage,
    **dict.fromkeys(("id", "text", "source", "title", "content_hash", "context", "media_type", "tenant"), texts),
    **dict.fromkeys(("start", "end", "line_start", "line_end", "parent_start", "parent_end"), whole),
    page=st.none() | whole,
    heading=st.lists(texts, max_size=2).map(tuple),
    readers=st.lists(texts, max_size=2).map(tuple),
    metadata=st.dictionaries(texts, values, max_size=2),
)
citations = st.builds(
    Citation,
    **dict.fromkeys(("quote", "source", "title", "passage_id"), texts),
    **dict.fromkeys(("marker", "start", "end", "line_start", "line_end"), whole),
    page=st.none() | whole,
)
hits = st.builds(Hit, passages, numbers, st.none() | numbers, st.none() | numbers)
answers = st.builds(
    Answer,
    text=texts,
    citations=st.lists(citations, max_size=2).map(tuple),
    confidence=numbers,
    passages=st.lists(hits, max_size=2).map(tuple),
    refused=st.booleans(),
    timings=st.dictionaries(texts, numbers, max_size=2),
    generated=st.booleans(),
)


@given(answers)
@settings(max_examples=60, deadline=None)
def test_an_answer_survives_json_whole(answer):
    assert answer_from_json(answer_as_json(answer)) == answer


def test_numbers_that_are_none_survive_too():
    kept = answer_from_json(answer_as_json(Answer("x", confidence=float("nan"), timings={"total": float("inf")})))
    assert kept.confidence != kept.confidence and kept.timings == {"total": float("inf")}


@pytest.mark.parametrize(
    "change",
    [
        {"text": 3},
        {"refused": "yes"},
        {"citations": {}},
        {"confidence": "high"},
        {"passages": [{"score": 1.0, "passage": {"text": "x"}}]},
        {"timings": {"total": True}},
    ],
)
def test_what_is_no_answer_is_refused(change):
    with pytest.raises(AnswerDamaged):
        answer_from_json(json.dumps({**json.loads(answer_as_json(Answer("x"))), **change}))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_what_is_not_even_an_object_is_refused(text):
    with pytest.raises(AnswerDamaged):
        answer_from_json(text)


# Conversations


def test_a_conversation_is_there_after_closing(tmp_path):
    first = Store(tmp_path / "c.sqlite")
    made = first.create("", "default", WARM, "  A  title\n on one line ")
    turn = asked(first, made, "What is the rent?")
    first.close()
    again = Store(tmp_path / "c.sqlite")
    found = again.conversation(made.id, "")
    assert (found.title, found.kb, found.settings, found.leaf) == ("A title on one line", "default", WARM, turn.id)
    assert again.turns(made.id, "") == [turn]
    again.close()


def test_a_long_title_is_cut_after_a_word(store):
    title = talk(store, title="word " * 60).title
    assert len(title) <= LONGEST_TITLE + 2 and title.endswith("word …")


def test_turns_are_a_tree_of_which_a_branch_is_shown(store):
    c = talk(store)
    one = asked(store, c, "one")
    two = asked(store, c, "two", one.id)
    three = asked(store, c, "three", two.id)
    other = asked(store, c, "two, again", one.id)
    turns = store.turns(c.id, "")
    assert [t.question for t in chat_tree.branch(turns, store.conversation(c.id, "").leaf)] == ["one", "two, again"]
    assert chat_tree.versions(turns, other) == [two, other]
    assert chat_tree.end_of(turns, two.id) == three.id
    store.show(c.id, "", three.id)
    assert [t.question for t in chat_tree.branch(turns, three.id)] == ["one", "two", "three"]
    assert store.conversation(c.id, "").leaf == three.id


def test_what_the_decoder_remembers_leaves_out_refusals_failures_and_other_knowledge_bases(store):
    c = talk(store, kb="default")
    for state, text, answer in (
        ("done", "yes", Answer("yes [1].")),
        ("done", "no", Answer("The documents do not say.", refused=True)),
        ("stopped", "half", None),
        ("failed", "", None),
    ):
        turn = store.begin(c.id, "", state, "", "default", PLAIN)
        store.end(turn.id, state, text, answer)
    turns = store.turns(c.id, "")
    assert [m.text for m in chat_tree.heard(turns, "default")] == ["done", "yes [1]."]
    assert chat_tree.heard(turns, "another") == ()


def test_search_finds_titles_questions_and_answers_whatever_the_case(store):
    lease, bread = talk(store, title="Über den Mietvertrag"), talk(store, title="Bread")
    asked(store, bread, "How long?", text="Bake it 55 minutes at 220 % heat_")
    assert [c.id for c in store.find("", "ÜBER DEN")] == [lease.id]
    assert [c.id for c in store.find("", "how LONG")] == [bread.id]
    assert [c.id for c in store.find("", "220 % heat_")] == [bread.id]
    assert store.find("", "%") == [store.conversation(bread.id, "")]
    assert store.find("", "nowhere") == []


def test_the_latest_comes_first_and_pages_do_not_overlap(store):
    made = [talk(store, title=str(n)) for n in range(5)]
    asked(store, made[1], "again")
    titles = [c.title for c in store.find("", limit=3)] + [c.title for c in store.find("", limit=3, offset=3)]
    assert titles == ["1", "4", "3", "2", "0"]


def test_another_persons_conversation_is_not_there(store):
    c = talk(store, "ann", "Ann's secret")
    turn = asked(store, c, "secret?", person="ann")
    assert store.find("bob") == store.find("bob", "secret") == store.find("") == []
    for attempt in (
        lambda: store.conversation(c.id, "bob"),
        lambda: store.turns(c.id, "bob"),
        lambda: store.turn(turn.id, "bob"),
        lambda: store.rename(c.id, "bob", "mine"),
        lambda: store.configure(c.id, "bob", "", WARM),
        lambda: store.show(c.id, "bob", turn.id),
        lambda: store.begin(c.id, "bob", "hi", "", "", PLAIN),
        lambda: store.delete(c.id, "bob"),
    ):
        with pytest.raises(UsageError, match="no such conversation"):
            attempt()
    assert store.conversation(c.id, "ann").title == "Ann's secret"
    assert store.turns(c.id, "ann") == [turn]


def test_a_turn_of_another_conversation_is_no_parent_and_not_shown(store):
    mine, other = talk(store), talk(store)
    turn = asked(store, other, "there")
    with pytest.raises(UsageError):
        store.begin(mine.id, "", "here", turn.id, "", PLAIN)
    with pytest.raises(UsageError):
        store.show(mine.id, "", turn.id)


def test_one_answer_of_a_conversation_is_written_at_a_time(store):
    c = talk(store)
    turn = store.begin(c.id, "", "first", "", "", PLAIN)
    with pytest.raises(UsageError, match="being written"):
        store.begin(c.id, "", "second", turn.id, "", PLAIN)
    store.end(turn.id, "stopped", "")
    store.begin(c.id, "", "second", turn.id, "", PLAIN)


@pytest.mark.parametrize("question", ["", " \n", "x" * (MOST_QUESTION + 1)])
def test_a_question_must_be_there_and_not_too_long(store, question):
    c = talk(store)
    with pytest.raises(UsageError):
        store.begin(c.id, "", question, "", "", PLAIN)
    assert store.turns(c.id, "") == []


def test_an_ended_turn_is_not_written_again_and_a_deleted_one_stays_gone(store):
    c = talk(store)
    turn = asked(store, c, "one", text="as it was")
    store.write(turn.id, "late")
    store.end(turn.id, "failed", "late")
    assert store.turn(turn.id, "") == turn
    store.delete(c.id, "")
    store.end(turn.id, "done", "late")
    assert store.find("") == []
    with pytest.raises(UsageError):
        store.turn(turn.id, "")


def test_odd_texts_are_kept(store):
    c = talk(store, title="lone \udc80 surrogate")
    turn = asked(store, c, "nul \0 and \udc80", text="emoji 🔥 and \0")
    assert turn.question == "nul \0 and \\udc80" and turn.answer.text == "emoji 🔥 and \0"


def test_settings_of_another_time_are_read_as_far_as_they_fit():
    assert settings_from(WARM.plain()) == WARM
    assert settings_from({"temperature": "hot", "seed": True, "model": "m", "new": 1}) == ChatSettings(model="m")
    assert settings_from(None) == PLAIN


# Files


def test_a_file_of_a_later_version_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "c.sqlite"
    Store(file).close()
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = file.read_bytes()
    with pytest.raises(ConversationsNewer, match="later Hearth"):
        Store(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_told_of(tmp_path, content):
    file = tmp_path / "c.sqlite"
    file.write_bytes(content)
    with pytest.raises(ConversationsDamaged, match="damaged"):
        Store(file)
    assert file.read_bytes() == content


def test_another_programs_tables_are_left_alone(tmp_path):
    file = tmp_path / "c.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(ConversationsDamaged):
        Store(file)


def test_a_damaged_answer_costs_that_answer_alone(store):
    c = talk(store)
    bad, good = asked(store, c, "one"), asked(store, c, "two")
    store._db.execute("UPDATE turns SET answer = '{}' WHERE id = ?", (bad.id,))
    read = store.turns(c.id, "")
    assert read[0].state == "failed" and read[0].question == "one" and "damaged" in read[0].error["cause"]
    assert read[1] == good


# Processes

WRITER = """
import sys, time
from pathlib import Path
from ui.browser.chat_settings import ChatSettings
from ui.browser.chat_store import Store
store = Store(Path(sys.argv[1]))
c = store.create("", "", ChatSettings(), "written elsewhere")
turn = store.begin(c.id, "", "Are you there?", "", "", ChatSettings())
store.write(turn.id, "Half of an")
print(c.id, flush=True)
time.sleep(60)
"""
MANY = """
import sys
from pathlib import Path
from ui.browser.chat_settings import ChatSettings
from ui.browser.chat_store import Store
store = Store(Path(sys.argv[1]))
c = store.create("", "", ChatSettings(), sys.argv[2])
for number in range(25):
    turn = store.begin(c.id, "", f"question {number}", "", "", ChatSettings())
    store.end(turn.id, "stopped", "x")
"""


def process(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=HOUSE, env={**os.environ, "PYTHONPATH": str(HOUSE)}, stdout=subprocess.PIPE)


def test_a_killed_writers_turn_is_interrupted_and_keeps_what_was_written(store):
    writer = process(WRITER, store.file)
    conversation = writer.stdout.readline().decode().strip()
    (turn,) = store.turns(conversation, "")
    assert (turn.state, turn.text) == ("running", "Half of an")
    with pytest.raises(UsageError, match="being written"):
        store.begin(conversation, "", "Me too", "", "", PLAIN)
    writer.send_signal(signal.SIGKILL)
    writer.wait(10)
    writer.stdout.close()
    (turn,) = store.turns(conversation, "")
    assert (turn.state, turn.text) == ("interrupted", "Half of an")
    store.begin(conversation, "", "And now?", turn.id, "", PLAIN)


def test_two_processes_write_at_once(store):
    writers = [process(MANY, store.file, name) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdout.close()
    assert sorted(c.title for c in store.find("")) == ["a", "b"]
    for c in store.find(""):
        assert [t.question for t in store.turns(c.id, "")] == [f"question {n}" for n in range(25)]


# Export


def test_export_as_markdown_holds_the_shown_branch_and_quotes_documents(store):
    c = talk(store, title="*Rent*")
    turn = store.begin(c.id, "", "How <much>?", "", "", PLAIN)
    cited = Citation(1, "rent is # 900", "lease.txt", "Lease", 0, 5, 1, 1)
    store.end(turn.id, "done", "", Answer("It is 900 [1].", (cited,)))
    stopped = store.begin(c.id, "", "And then?", turn.id, "", PLAIN)
    store.end(stopped.id, "stopped", "Then it")
    written = as_markdown(c, store.turns(c.id, ""))
    assert written.startswith("# \\*Rent\\*\n\n## How \\<much\\>?\n\nIt is 900 [1].\n")
    assert "- \\[1\\] lease.txt, line 1\n  > rent is \\# 900" in written
    assert written.endswith("## And then?\n\nThen it\n")


def test_export_as_markdown_calls_an_upload_by_its_name(store):
    from rag.load.names import source_of
    from ui.browser.knowledge_uploads import uploads_folder

    c = talk(store)
    turn = store.begin(c.id, "", "How much?", "", "", PLAIN)
    place = f"{source_of(uploads_folder())}/default/0123abcd/lease.txt"
    store.end(turn.id, "done", "", Answer("It is 900 [1].", (Citation(1, "900", place, "Lease", 0, 3, 1, 1),)))
    written = as_markdown(c, store.turns(c.id, ""))
    assert "- \\[1\\] lease.txt, line 1" in written
    assert "uploads" not in written


def test_export_as_json_holds_every_branch_and_reads_back(store):
    c = talk(store, title="Rent / 2024")
    one = asked(store, c, "one")
    two = asked(store, c, "one, again")
    data = json.loads(as_json(store.conversation(c.id, ""), store.turns(c.id, "")))
    assert [turn["question"] for turn in data["turns"]] == ["one", "one, again"]
    assert data["shown"] == two.id and data["title"] == "Rent / 2024"
    assert answer_from_json(json.dumps(data["turns"][0]["answer"])) == one.answer
    assert file_name(c, ".json") == "rent-2024.json"


def test_a_commit_that_fails_does_not_block_what_comes_after():
    import sqlite3

    from ui.browser.chat_schema import transaction

    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError), transaction(db):
        db.execute("INSERT INTO a VALUES (1, 2)")  # only the commit finds that there is no 2
    with transaction(db):
        db.execute("INSERT INTO a VALUES (3, NULL)")
    assert db.execute("SELECT id FROM a").fetchall() == [(3,)]
    db.close()

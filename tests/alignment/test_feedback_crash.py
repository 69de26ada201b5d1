"""kill -9 at random moments: no acknowledged event is lost, the store opens, and a compaction happened or did not."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alignment.feedback import Feedback
from alignment.feedback_events import Exchange, Where

ROOT = Path(__file__).resolve().parents[2]
BEGIN = """
import sys, itertools
from alignment.feedback import Feedback
from alignment.feedback_events import Exchange
feedback, who = Feedback(sys.argv[1]), sys.argv[2]
exchange = Exchange.of("Why?", "Because. " * 50, model="m")
print("ready", flush=True)
"""
WRITES = (
    BEGIN
    + """
for number in itertools.count():
    print(feedback.vote(exchange, 1, person=who, comment=f"number {number}").id, flush=True)
"""
)
FORGETS = (
    BEGIN
    + """
for number in itertools.count():
    for _ in range(4):
        feedback.vote(exchange, 1, person="secretperson", comment="SECRETCOMMENT " * 40)
    feedback.forget("secretperson")
    print("forgotten", flush=True)
    feedback.compact()
    print("compacted", flush=True)
"""
)


def begin(program, path, who, log):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("wb") as out:
        return subprocess.Popen([sys.executable, "-c", program, path, who], stdout=out, cwd=ROOT, env=environment)


def kill_at_random(children, logs, seed, longest=0.4):
    deadline = time.monotonic() + 60
    while not all(log.read_bytes().count(b"\n") >= 2 for log in logs):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, longest))
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    for child in children:
        child.wait(30)


def said(log):
    """Whole lines after the first."""
    return log.read_text().rpartition("\n")[0].split("\n")[1:]


@pytest.mark.parametrize("seed", range(3))
def test_no_acknowledged_event_is_lost_when_several_writers_die(tmp_path, seed):
    path = tmp_path / "feedback.sqlite"
    logs = [tmp_path / f"log{n}" for n in range(3)]
    children = [begin(WRITES, path, f"p{n}", log) for n, log in enumerate(logs)]
    kill_at_random(children, logs, seed)
    feedback = Feedback(path)
    for number, log in enumerate(logs):
        kept = [event.id for event in feedback.events(Where(person=f"p{number}"))]
        acknowledged = said(log)
        assert kept[: len(acknowledged)] == acknowledged
        assert len(kept) <= len(acknowledged) + 1
    feedback.vote(Exchange.of("Still?", "Yes."), 1)


@pytest.mark.parametrize("seed", range(4))
def test_a_compaction_that_dies_has_happened_or_not(tmp_path, seed):
    path = tmp_path / "feedback.sqlite"
    logs = [tmp_path / "writes", tmp_path / "forgets"]
    programs = zip((WRITES, FORGETS), ("ann", "secretperson"), logs, strict=True)
    kill_at_random([begin(program, path, who, log) for program, who, log in programs], logs, seed)
    feedback = Feedback(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    acknowledged = said(logs[0])
    assert [event.id for event in feedback.events(Where(person="ann"))][: len(acknowledged)] == acknowledged
    mine = feedback.events(Where(person="secretperson"))
    assert len(mine) in range(5)
    if mine:
        feedback.forget("secretperson")
    feedback.compact()
    assert not feedback.pending
    left = b"".join(file.read_bytes() for file in tmp_path.glob("feedback.sqlite*"))
    assert b"secretperson" not in left and b"SECRETCOMMENT" not in left
    assert [event.id for event in feedback.events(Where(person="ann"))][: len(acknowledged)] == acknowledged


STEPS = ["BEGIN IMMEDIATE", "DELETE FROM events", "UPDATE events", "INSERT INTO chores", "COMMIT", "VACUUM",
         "PRAGMA wal_checkpoint", "DELETE FROM chores"]  # fmt: skip
DIES = """
import os, sqlite3, sys
from alignment.feedback import Feedback

class Dying(sqlite3.Connection):
    def execute(self, statement, *values):
        if statement.startswith(sys.argv[2]):
            if sys.argv[3] == "after":
                super().execute(statement, *values)
            os.kill(os.getpid(), 9)
        return super().execute(statement, *values)

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **named: connect(*arguments, factory=Dying, **named)
Feedback(sys.argv[1]).compact()
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_compaction_that_dies_at_any_of_its_steps_is_done_by_the_next(tmp_path, step, when):
    feedback = Feedback(tmp_path / "feedback.sqlite")
    for person in ("ann", "secretperson"):
        feedback.vote(Exchange.of("Why?", "SECRETWORD" if person != "ann" else "Because."), 1, person=person)
    feedback.forget("secretperson")
    kept = feedback.events()
    child = subprocess.run(
        [sys.executable, "-c", DIES, feedback.path, step, when],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert child.returncode == -signal.SIGKILL
    assert feedback.events() == kept
    assert feedback.pending or (step, when) == ("DELETE FROM chores", "after")
    feedback.compact()
    assert not feedback.pending
    left = b"".join(file.read_bytes() for file in tmp_path.glob("feedback.sqlite*"))
    assert b"secretperson" not in left and b"SECRETWORD" not in left
    assert feedback.events() == kept

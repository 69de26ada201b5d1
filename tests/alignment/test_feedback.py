"""The feedback store: events are kept for good, whole, and for their owner alone; what is forgotten is gone."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alignment.errors import FeedbackError
from alignment.feedback import Feedback
from alignment.feedback_events import Event, Exchange, Shown, Where, from_body, to_body
from alignment.feedback_store import append
from decoder.types import ImagePart, Message, Sampling, TextPart, assistant, user

SKY = Exchange.of(
    [user("Hello"), assistant("Yes?"), user("Why is the sky blue?")],
    "It mirrors the sea.",
    model="hearth",
    adapter="v7",
    sampling=Sampling(temperature=0.5, max_tokens=64),
    context=[Shown("Air scatters blue light.", "optics.pdf, page 3", "p1")],
    conversation="c1",
)


@pytest.fixture
def feedback(tmp_path):
    return Feedback(tmp_path / "home" / "feedback.sqlite")


# What is kept


def test_an_event_comes_back_as_it_was_said(feedback):
    said = [
        feedback.vote(SKY, -1, person="ann", comment="wrong"),
        feedback.edit(SKY, "Air scatters blue light [1].", person="bob"),
        feedback.rank(SKY, ["a", "b", "c"], [2, 1, 2], person="ann"),
        feedback.comment("Look at this one.", target=feedback.events()[0].id),
    ]
    assert feedback.events() == said
    assert feedback.get(said[1].id) == (said[1], "live")
    assert said[0].exchange.sampling == {"temperature": 0.5, "max_tokens": 64, "n": 1}
    assert feedback.count() == 4


def test_a_picture_and_a_call_of_a_tool_are_kept_too(feedback):
    seen = Exchange.of([Message("user", (TextPart("What is it?"), ImagePart("https://example.org/cat.png")))], "A cat.")
    assert feedback.vote(seen, 1) == feedback.events()[0]
    assert seen.prompt[0]["content"][1]["image_url"]["url"] == "https://example.org/cat.png"


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (Where(), "abcd"),
        (Where(person="ann"), "ac"),
        (Where(model="hearth"), "abc"),
        (Where(adapter="v7", kinds=("edit",)), "b"),
        (Where(since=20), "bcd"),
        (Where(since=10, until=30), "ab"),
        (Where(conversation="c1", person="bob"), "b"),
        (Where(kinds=("comment",)), "d"),
        (Where(model="none"), ""),
    ],
)
def test_filters(feedback, where, found):
    for event in (
        Event("vote", SKY, "ann", vote=1, comment="a", time=10.0),
        Event("edit", SKY, "bob", edit="Better.", comment="b", time=20.0),
        Event("ranking", SKY, "ann", responses=("x", "y"), ranks=(1, 2), comment="c", time=30.0),
        Event("comment", comment="d", time=40.0),
    ):
        append(feedback.path, event)
    assert "".join(event.comment for event in feedback.events(where)) == found
    assert feedback.count(where) == len(found)


def test_nothing_is_there_before_anything_was_kept(feedback):
    assert (feedback.events(), feedback.count(), feedback.pending) == ([], 0, False)
    assert not feedback.path.exists()
    with pytest.raises(FeedbackError, match="there is no event"):
        feedback.get("x")


def test_a_store_whose_first_writer_died_is_an_empty_one(feedback):
    feedback.path.parent.mkdir()
    feedback.path.touch()
    assert (feedback.events(), feedback.count(), feedback.pending) == ([], 0, False)
    event = feedback.vote(SKY, 1)
    assert feedback.events() == [event]


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (lambda f: f.vote(SKY, 0), "a vote is 1 or -1, not 0"),
        (lambda f: f.vote(Exchange(()), 1), "of no exchange"),
        (lambda f: f.edit(SKY, " "), "the edit is empty"),
        (lambda f: f.edit(SKY, "It mirrors the sea. "), "changes nothing"),
        (lambda f: f.rank(SKY, ["a"], [1]), "1 responses have 1 ranks"),
        (lambda f: f.rank(SKY, ["a", "b"], [1]), "2 responses have 1 ranks"),
        (lambda f: f.rank(SKY, ["a", "a"], [1, 2]), "ranked twice"),
        (lambda f: f.rank(SKY, ["a", "b"], [0, 1]), "no whole number from 1"),
        (lambda f: f.rank(SKY, ["a", "b"], [True, 2]), "no whole number from 1"),
        (lambda f: f.comment(""), "the comment is empty"),
        (lambda f: f.comment("x", target="nope"), "there is no event nope"),
        (lambda f: f.vote(Exchange(({"role": "user", "content": b"x"},)), 1), "no plain data"),
        (lambda f: f.vote(Exchange.of("x" * (9 << 20)), 1), "larger than 8 MiB"),
        (lambda f: f.forget(""), "no person is named"),
        (lambda f: append(f.path, Event("vote", SKY, vote=1, time=1.7e12)), "no number of seconds"),
        (lambda f: append(f.path, Event("vote", SKY, vote=1, time=float("nan"))), "no number of seconds"),
    ],
)
def test_what_cannot_be_kept_is_an_error_and_nothing_is(feedback, keep, reason):
    with pytest.raises(FeedbackError, match=reason):
        keep(feedback)
    assert feedback.count() == 0


def test_text_of_any_kind_is_kept_or_refused_whole(feedback):
    hostile = "'; DROP TABLE events; --\x00\ud800\U0001f600\x1b[2J"
    event = feedback.vote(Exchange.of(hostile, hostile, model=hostile), 1, person="o'hara\x00", comment=hostile)
    assert feedback.events() == [event]
    assert feedback.events(Where(person="o'hara\x00")) == [event]


def test_a_name_that_is_no_text_is_found_by_what_it_was_kept_under(feedback):
    """As the command line hands over bytes that are no UTF-8."""
    event = feedback.vote(SKY, 1, person="ann\udcff")
    assert feedback.events(Where(person="ann\udcff")) == feedback.events(Where(person="ann?"))
    for work in (feedback.get, feedback.retract):
        with pytest.raises(FeedbackError, match="there is no event"):
            work("nope\udcff")
    feedback.retract(event.id, person="ann\udcff")
    assert feedback.forget("ann\udcff") == 2


# What is taken back


def test_a_retraction_hides_an_event_and_keeps_it(feedback):
    vote = feedback.vote(SKY, 1, person="ann")
    feedback.retract(vote.id, person="ann")
    assert feedback.events() == []
    assert feedback.events(retracted=True) == [vote]
    assert feedback.get(vote.id) == (vote, "retracted")
    with pytest.raises(FeedbackError, match="taken back already"):
        feedback.retract(vote.id)


def test_only_ones_own_events_and_only_events_can_be_taken_back(feedback):
    vote = feedback.vote(SKY, 1, person="ann")
    with pytest.raises(FeedbackError, match="another person's"):
        feedback.retract(vote.id, person="bob")
    retraction = feedback.retract(vote.id)
    for target in (retraction.id, "nope"):
        with pytest.raises(FeedbackError, match="there is no event"):
            feedback.retract(target)


# The rules of the file


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}'",
        "UPDATE events SET kind = 'tombstone', person = ''",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT * FROM events",
        "REPLACE INTO events (id, time, kind, person, model, adapter, conversation, target, body, digest) "
        "SELECT id, 0, kind, person, model, adapter, conversation, target, body, digest FROM events",
    ],
)
def test_sql_itself_refuses_to_rewrite_events(feedback, statement):
    feedback.vote(SKY, 1, person="ann")
    feedback.vote(SKY, 1)
    before = feedback.events()
    connection = sqlite3.connect(feedback.path)
    with pytest.raises(sqlite3.IntegrityError, match="events are never"):
        connection.execute(statement)
    connection.close()
    assert feedback.events() == before


def test_a_tombstone_takes_no_text_with_it_when_it_loses_its_name(feedback):
    feedback.vote(SKY, 1, person="ann")
    feedback.forget("ann")
    with sqlite3.connect(feedback.path) as connection:
        connection.execute("DELETE FROM events WHERE kind = 'vote'")
        with pytest.raises(sqlite3.IntegrityError, match="never rewritten"):
            connection.execute("UPDATE events SET person = '', body = 'more'")
    connection.close()


def test_the_file_is_its_owners_alone(feedback):
    feedback.vote(SKY, 1)
    with sqlite3.connect(feedback.path) as reader:
        reader.execute("SELECT * FROM events").fetchone()
        feedback.vote(SKY, 1)
        assert {p.stat().st_mode & 0o777 for p in feedback.path.parent.iterdir()} == {0o600}
    reader.close()
    feedback.path.chmod(0o644)
    feedback.vote(SKY, 1)
    assert feedback.path.stat().st_mode & 0o777 == 0o600


def test_an_event_is_synced_before_it_is_acknowledged(feedback):
    from alignment.feedback_file import connected

    feedback.vote(SKY, 1)
    with connected(feedback.path) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def write(path, *, text=None, sql=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        path.write_bytes(text)
    for statement in sql:
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"text": b"A diary.\n" * 200}, "no feedback store"),
        ({"sql": ["CREATE TABLE mine (a)"]}, "another program's"),
        ({"sql": ["CREATE TABLE mine (a)", "PRAGMA application_id = 1212564546"]}, "of version 0"),
    ],
)
def test_a_foreign_file_is_refused_and_stays_as_it_is(feedback, made, reason):
    write(feedback.path, **made)
    before = feedback.path.read_bytes()
    for work in (lambda: feedback.vote(SKY, 1), feedback.events, feedback.compact, lambda: feedback.forget("ann")):
        with pytest.raises(FeedbackError, match=reason):
            work()
    assert feedback.path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("PRAGMA user_version = 2", "of version 2, and this code knows version 1. Use a newer Hearth"),
        ("DROP TRIGGER never_deleted", "other tables or rules"),
        ("CREATE VIEW more AS SELECT 1", "other tables or rules"),
    ],
)
def test_a_newer_or_a_changed_store_is_refused(feedback, statement, reason):
    feedback.vote(SKY, 1)
    write(feedback.path, sql=[statement])
    with pytest.raises(FeedbackError, match=reason):
        feedback.vote(SKY, 1)


def test_an_event_of_a_newer_version_is_refused():
    body = json.loads(to_body(Event("vote", SKY, vote=1)))
    with pytest.raises(ValueError, match="version 2"):
        from_body("vote", "id", 0.0, "", json.dumps({**body, "version": 2}))


def test_damage_is_an_error_whichever_byte_it_hits(feedback):
    for number in range(40):
        feedback.vote(SKY, 1, person="ann", comment=f"number {number} " + "word " * 100)
    whole, good = feedback.path.read_bytes(), feedback.events()
    seen = 0
    for place in range(50, len(whole), 997):
        feedback.path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            found = feedback.events()
        except FeedbackError:
            seen += 1
        else:
            assert [e for e in found if e not in good] == [], place  # an unused or an index byte
    assert seen > 5
    feedback.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FeedbackError, match="damaged"):
        feedback.events()
    assert len(feedback.path.read_bytes()) == len(whole) // 2


def test_a_folder_or_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FeedbackError, match="cannot be opened"):
        Feedback(tmp_path / "folder").vote(SKY, 1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(FeedbackError, match=r"Check the folder's permissions"):
        Feedback(tmp_path / "file" / "feedback.sqlite").vote(SKY, 1)


def test_a_writer_waits_for_another_and_then_says_so(feedback, monkeypatch):
    feedback.vote(SKY, 1)
    monkeypatch.setattr("alignment.feedback_file.WAIT_SECONDS", 0.1)
    blocker = sqlite3.connect(feedback.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(FeedbackError, match="another process has been writing"):
        feedback.vote(SKY, 1)
    assert feedback.count() == 1  # readers do not wait
    blocker.execute("ROLLBACK")
    blocker.close()


def test_a_full_disk_loses_nothing_and_says_so(feedback):
    first = feedback.vote(SKY, 1)
    original = sqlite3.connect

    def small(*arguments, **named):
        connection = original(*arguments, **named)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite's own limit answers as a full disk does
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", small)
        with pytest.raises(FeedbackError, match="the disk is full"):
            feedback.vote(Exchange.of("x" * 100_000, "y"), 1)
    assert feedback.events() == [first]


def test_threads_share_one_store(feedback):
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda n: feedback.vote(SKY, 1, person=f"p{n}").id, range(64)))
    assert sorted(kept) == sorted(event.id for event in feedback.events())


# Forgetting


def bytes_of(feedback):
    return b"".join(file.read_bytes() for file in feedback.path.parent.glob(feedback.path.name + "*"))


def test_what_is_forgotten_is_hidden_at_once_and_gone_after_compaction(feedback):
    for number in range(30):
        secret = Exchange.of(f"My number is 555-0{number:03}", "Noted.", model="hearth")
        feedback.vote(secret, 1, person="secretperson", comment="SECRETCOMMENT")
        feedback.vote(SKY, 1, person="ann")
    kept = feedback.events(Where(person="ann"))
    assert feedback.forget("secretperson") == 30
    assert feedback.events() == feedback.events(retracted=True) == kept
    assert feedback.pending and b"secretperson" in bytes_of(feedback)
    done = feedback.compact()
    assert done.removed == 30 and done.bytes_after < done.bytes_before
    assert not any(word in bytes_of(feedback) for word in (b"secretperson", b"SECRETCOMMENT", b"555-0"))
    assert feedback.events() == kept and not feedback.pending
    assert feedback.compact().removed == 0


def test_who_comes_back_is_heard_again(feedback):
    feedback.vote(SKY, 1, person="ann")
    feedback.forget("ann")
    later = feedback.vote(SKY, -1, person="ann")
    assert feedback.events() == [later]
    feedback.compact()
    assert feedback.events() == [later]
    feedback.forget("ann")
    assert feedback.events() == []
    with pytest.raises(FeedbackError, match="nothing of that person"):
        feedback.forget("ann")


def test_anonymous_events_outlive_everybodys_tombstones(feedback):
    vote = feedback.vote(SKY, 1)
    feedback.vote(SKY, 1, person="ann")
    feedback.forget("ann")
    feedback.compact()
    with sqlite3.connect(feedback.path) as connection, pytest.raises(sqlite3.IntegrityError, match="never deleted"):
        connection.execute("DELETE FROM events WHERE kind = 'vote'")
    connection.close()
    assert feedback.events() == [vote]


def test_compaction_waits_for_readers_and_goes_on_later(feedback, monkeypatch):
    feedback.vote(SKY, 1, person="secretperson")
    reader = sqlite3.connect(feedback.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM events").fetchone()
    feedback.forget("secretperson")
    monkeypatch.setattr("alignment.feedback_store.WAIT_SECONDS", 0.1)
    monkeypatch.setattr("alignment.feedback_file.WAIT_SECONDS", 0.1)
    with pytest.raises(FeedbackError, match="other processes keep reading"):
        feedback.compact()
    assert feedback.pending
    reader.execute("COMMIT")
    reader.close()
    feedback.compact()
    assert not feedback.pending and b"secretperson" not in bytes_of(feedback)


def test_two_compactions_at_once_finish_each_others_work_or_leave_it_noted(feedback, monkeypatch):
    from alignment import feedback_store as store
    from alignment.feedback_file import connected

    feedback.vote(SKY, 1, person="ann")
    feedback.forget("ann")
    idle = sqlite3.connect(feedback.path)  # the log lives as long as anybody is connected
    idle.execute("SELECT COUNT(*) FROM events").fetchall()
    cut = store._cut_log

    def meanwhile(connection, step):
        """Another process takes out the next person's rows, and dies before their bytes are gone."""
        cut(connection, step)
        feedback.vote(SKY, 1, person="secretperson")
        feedback.forget("secretperson")
        with connected(feedback.path) as other:
            store._remove(other)

    monkeypatch.setattr(store, "_cut_log", meanwhile)
    feedback.compact()
    monkeypatch.undo()
    assert feedback.pending and b"secretperson" in bytes_of(feedback)
    feedback.compact()
    assert not feedback.pending and b"secretperson" not in bytes_of(feedback)
    idle.close()


# Against a plain list


PEOPLE = st.sampled_from(["", "ann", "bob"])


class Store(RuleBasedStateMachine):
    """The store does what a list of events would do."""

    folder = None

    @initialize()
    def begin(self):
        import tempfile

        self.place = tempfile.TemporaryDirectory(dir=Store.folder)
        self.feedback, self.live, self.taken_back, self.due = Feedback(f"{self.place.name}/f"), [], [], False

    @rule(person=PEOPLE, value=st.sampled_from([1, -1]), words=st.text(max_size=5))
    def vote(self, person, value, words):
        self.live.append(self.feedback.vote(SKY, value, person=person, comment=words))

    @rule(person=PEOPLE, text=st.text(min_size=1, max_size=5))
    def edit(self, person, text):
        if text.strip():
            self.live.append(self.feedback.edit(SKY, text, person=person))

    @rule(person=PEOPLE, ranks=st.lists(st.integers(1, 4), min_size=2, max_size=4))
    def rank(self, person, ranks):
        responses = [f"response {n}" for n, _ in enumerate(ranks)]
        self.live.append(self.feedback.rank(SKY, responses, ranks, person=person))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), person=PEOPLE)
    def retract(self, data, person):
        event = data.draw(st.sampled_from(self.live))
        if person not in ("", event.person):
            with pytest.raises(FeedbackError, match="another"):
                self.feedback.retract(event.id, person=person)
            return
        self.feedback.retract(event.id, person=person)
        self.live.remove(event)
        self.taken_back.append(event)

    @rule(person=st.sampled_from(["ann", "bob"]))
    def forget(self, person):
        mine = [event for event in (*self.live, *self.taken_back) if event.person == person]
        if not mine:
            with pytest.raises(FeedbackError):
                self.feedback.forget(person)
            return
        self.feedback.forget(person)
        self.live = [event for event in self.live if event.person != person]
        self.taken_back = [event for event in self.taken_back if event.person != person]
        self.due = True

    @rule()
    def compact(self):
        if self.feedback.path.exists():
            assert bool(self.feedback.compact().removed) == self.due
            self.due = False

    @invariant()
    def same(self):
        if hasattr(self, "feedback"):
            assert self.feedback.events() == self.live
            assert self.feedback.pending == self.due
            everything = {event.id for event in (*self.live, *self.taken_back)}
            assert {event.id for event in self.feedback.events(retracted=True)} == everything
            assert self.feedback.count(Where(person="ann")) == sum(e.person == "ann" for e in self.live)

    def teardown(self):
        if hasattr(self, "place"):
            self.place.cleanup()


def test_the_store_behaves_like_a_list(tmp_path):
    from hypothesis.stateful import run_state_machine_as_test

    Store.folder = tmp_path
    quick = settings(max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Store, settings=quick)

"""Transcripts: every event comes back as it was, damage is told with its line, the file grows as the run does."""

import json
import os
import re
import subprocess
import sys
import typing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import Agent, Budget, Tool
from agents.errors import TranscriptError
from agents.events import (
    DecoderCalled,
    Event,
    Nested,
    Observation,
    RunEnded,
    RunResult,
    RunStarted,
    Thought,
    ThoughtDelta,
)
from agents.transcript import Transcript, decode, encode, read, read_bytes
from decoder import ScriptedDecoder
from decoder.types import Message

NUMBER = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
TEXT = st.text(max_size=20)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MAPPING = st.dictionaries(TEXT, DATA, max_size=3)


def made(kind):
    """Any event of a kind, with JSON data for arguments and answers, nested in one another at times."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: of(hint) for name, hint in hints.items()})


def of(hint):
    if hint is typing.Any:
        return DATA
    if hint == Event:
        return st.deferred(lambda: ANY_EVENT)
    if hint is str:
        return TEXT
    if hint is float:
        return st.floats(allow_nan=False)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(of(arguments[0]), max_size=2).map(tuple)
    if origin is not None and isinstance(origin, type) and issubclass(origin, typing.Mapping):
        return MAPPING
    if arguments and origin is not typing.Literal:
        return st.one_of(*[of(each) for each in arguments])
    return made(hint) if hasattr(hint, "__dataclass_fields__") else st.from_type(hint)


ANY_EVENT = st.one_of(*[made(kind) for kind in typing.get_args(Event) if kind is not Nested]) | st.deferred(
    lambda: made(Nested)
)


def call(tool, **arguments):
    return json.dumps({"name": tool, "arguments": arguments})


def counts_up(steps):
    """An agent that calls a tool so many times, then answers."""
    script = []
    for n in range(steps):
        script += [f"Now number {n:04}.", call("count", n=1000 + n)]
    decoder = ScriptedDecoder([*script, "Done.", call("final_answer", answer="counted")])
    tool = Tool("count", "Counts.", NUMBER, lambda n: f"{n} it is", effect="read")
    return Agent(decoder, [tool], budget=Budget(steps=None, tokens=None, tool_calls=None))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(ANY_EVENT)
def test_every_event_comes_back_from_its_line_as_it_was(event):
    line = encode(event, "r1", 7, 12.5)
    assert b"\n" not in line
    assert decode(line, 7) == ("r1", event)


def test_a_transcript_holds_the_events_of_the_stream_and_nothing_else(tmp_path):
    path = tmp_path / "run.jsonl"
    happened = list(counts_up(3).stream("Count.", listeners=[Transcript(path)]))
    assert list(read(path).events) == [event for event in happened if not isinstance(event, ThoughtDelta)]


def test_lines_are_keyed_by_run_and_step(tmp_path):
    path = tmp_path / "run.jsonl"
    result = counts_up(2).run("Count.", listeners=[Transcript(path)])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["run"] for line in lines} == {result.run_id}
    assert [line["n"] for line in lines] == list(range(len(lines)))
    steps = [line["step"] for line in lines if line["kind"] not in ("RunStarted", "RunEnded")]
    assert steps == sorted(steps)
    assert set(steps) == {1, 2, 3}


def test_an_answer_with_a_type_is_kept_as_its_data(tmp_path):
    from dataclasses import dataclass

    @dataclass
    class Sum:
        total: int

    path = tmp_path / "run.jsonl"
    decoder = ScriptedDecoder(["…", call("final_answer", total=4)])
    assert Agent(decoder, output=Sum).run("Add.", listeners=[Transcript(path)]).answer == Sum(4)
    assert read(path).ended.result.answer == {"total": 4}


def test_text_that_no_file_can_hold_as_it_is_comes_back(tmp_path):
    event = Thought(1, "half a pair \ud83d, a line\u2028separator, a nul \x00")
    assert decode(encode(event, "r", 0, 0.0), 0) == ("r", event)


@pytest.mark.parametrize("steps", [10, 100])
def test_bytes_per_step_stay_constant(tmp_path, steps):
    path = tmp_path / "run.jsonl"
    counts_up(steps).run("Count.", listeners=[Transcript(path)])
    sizes = dict.fromkeys(range(1, steps + 1), 0)
    for line in path.read_text().splitlines():
        step = json.loads(line)["step"]
        if step in sizes:
            without_digests = re.sub(r"[0-9a-f]{64}", "", line)
            sizes[step] += len(re.sub(r"[0-9.e-]+", "", without_digests))
    assert len(set(sizes.values())) == 1
    assert 0 < sizes[1] < 2500


def test_twice_the_history_is_kept_twice_and_not_once_a_step(tmp_path):
    history = [Message("user", "x" * 1000), Message("assistant", "y" * 1000)]
    for steps in (2, 20):
        path = tmp_path / f"{steps}.jsonl"
        counts_up(steps).run("Count.", after=history, listeners=[Transcript(path)])
        assert path.read_text().count("x" * 1000) == 2, "once where it starts, once in its result"


def test_a_last_line_that_was_cut_off_is_dropped_and_taken_away(tmp_path):
    path = tmp_path / "run.jsonl"
    counts_up(2).run("Count.", listeners=[Transcript(path)])
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(1, len(lines[-1])):
        path.write_bytes(b"".join(lines[:-1]) + lines[-1][:cut])
        assert len(read(path).events) == len(lines) - 1
    with Transcript(path):
        assert path.read_bytes() == b"".join(lines[:-1])


def test_zeros_that_a_crash_left_behind_the_last_line_are_taken_away(tmp_path):
    path = tmp_path / "run.jsonl"
    counts_up(1).run("Count.", listeners=[Transcript(path)])
    kept = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(kept) + b"\x00" * 300)
    with Transcript(path) as transcript:
        assert len(transcript.recording.events) == len(kept)
    assert path.read_bytes() == b"".join(kept)


def line(event, number=0, run="r1"):
    return encode(event, run, number, 0.0) + b"\n"


STARTED = line(RunStarted("r1", "agent", "task", "system", "constrained"))


def changed(**new):
    stored = json.loads(line(Thought(1, "so"), 1))
    return json.dumps({**stored, **new}).encode() + b"\n"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (b'{"v":1,"run":"r1","n":1,"st\n', "line 2"),
        (b"\xff\xfe\n", "line 2"),
        (b"\n", "line 2"),
        (b"[" * 100_000 + b"\n", "line 2"),
        (changed(v=2), "version 2 is not 1"),
        (changed(v=True), "version True is not 1"),
        (changed(kind="Musing"), "'Musing' is no kind of event"),
        (changed(n=5), "event 1 is due"),
        (changed(run="r2"), "it is of run 'r2', not 'r1'"),
        (changed(step=3), "its step is not that of its event"),
        (changed(more=1), "its keys are not"),
        (changed(event={"step": 1, "text": "so"}), "Thought.truncated is missing"),
        (changed(event={"step": 1, "text": "so", "truncated": False, "mood": ""}), "Thought.mood is unknown"),
        (changed(event={"step": True, "text": "so", "truncated": False}), "Thought.step is not a whole number"),
        (changed(event={"step": 1, "text": None, "truncated": False}), "Thought.text is not text"),
        (line(RunStarted("r1", "agent", "task", "", "constrained"), 1), "RunStarted is the first event"),
        (line(ThoughtDelta(1, "so"), 1), "never journalled"),
    ],
)
def test_a_damaged_line_is_an_error_with_its_number(second, said):
    with pytest.raises(TranscriptError, match=r"line 2:") as raised:
        read_bytes(STARTED + second + line(Thought(1, "so"), 2))
    assert said in str(raised.value)


def test_a_line_that_is_missing_is_an_error():
    with pytest.raises(TranscriptError, match="line 2: it says that it is event 2, but event 1 is due"):
        read_bytes(STARTED + line(Thought(1, "so"), 2))


def test_nothing_follows_the_end_of_a_run():
    ended = line(RunEnded(RunResult("r1", "yes", "answer")), 1)
    with pytest.raises(TranscriptError, match="line 3: the run has ended before it"):
        read_bytes(STARTED + ended + line(Thought(1, "so"), 2))


@settings(max_examples=500)
@given(st.binary(max_size=200) | st.lists(st.sampled_from([STARTED, b"{", b"\n", b"1\n", changed()])).map(b"".join))
def test_whatever_the_bytes_are_they_are_read_or_refused(content):
    try:
        recording = read_bytes(content)
    except TranscriptError:
        return
    again = b"".join(encode(e, recording.started.run_id, n, 0.0) + b"\n" for n, e in enumerate(recording.events))
    assert read_bytes(again).events == recording.events
    assert not content[recording.size :].count(b"\n")


@given(st.data())
def test_a_byte_that_changed_is_refused_or_gives_an_event_of_the_same_shape(data):
    content = bytearray(STARTED + line(Thought(1, "so"), 1) + line(DecoderCalled(1, "action", usage(), 0.5), 2))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    try:
        events = read_bytes(bytes(content)).events
    except TranscriptError:
        return
    assert [type(event) for event in events] == [RunStarted, Thought, DecoderCalled][: len(events)]


def usage():
    from decoder.types import Usage

    return Usage(3, 4, None)


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path):
    path = tmp_path / "run.jsonl"
    script = f"from agents.transcript import Transcript\nTranscript({str(path)!r})"
    with Transcript(path):
        with pytest.raises(TranscriptError, match="is being written"):
            Transcript(path)
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert "is being written" in ended.stderr
    Transcript(path).close()


def test_one_file_holds_one_run(tmp_path):
    with Transcript(tmp_path / "run.jsonl") as transcript:
        counts_up(1).run("Count.", listeners=[transcript])
        with pytest.raises(TranscriptError, match="closed"):
            counts_up(1).run("Count again.", listeners=[transcript])
    with (
        Transcript(tmp_path / "run.jsonl") as again,
        pytest.raises(TranscriptError, match="Give each run a file of its own"),
    ):
        counts_up(1).run("Count again.", listeners=[again])


def test_the_transcript_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "new folder" / "run.jsonl"
    counts_up(1).run("Count.", listeners=[Transcript(path)])
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_must_last_is_on_the_disk_before_the_tool_starts(tmp_path, monkeypatch):
    """fsync is called once the line is written, and before the tool is."""
    path, order = tmp_path / "run.jsonl", []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append(last_kind(path)), sync(fd)))
    tool = Tool("save", "Saves.", NUMBER, lambda n: order.append("saved"), effect="write")
    look = Tool("look", "Looks.", NUMBER, lambda n: order.append("looked"), effect="read")
    decoder = ScriptedDecoder([call("look", n=1), call("save", n=1), call("final_answer", answer="ok")])
    Agent(decoder, [tool, look], thought_tokens=0).run("Save.", listeners=[Transcript(path)])
    assert order == [None, "looked", "ToolStarted", "saved", "Observation", "RunEnded"]


def last_kind(path):
    lines = path.read_text().splitlines()
    return json.loads(lines[-1])["kind"] if lines else None


def test_a_transcript_that_cannot_be_written_ends_the_run_before_the_effect(tmp_path, monkeypatch):
    path, saved = tmp_path / "run.jsonl", []
    tool = Tool("save", "Saves.", NUMBER, lambda n: saved.append(n))
    write = os.write

    def full(fd, data):
        if b"ToolStarted" in data:
            write(fd, data[:10])
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr("agents.transcript.os.write", full)
    decoder = ScriptedDecoder([call("save", n=1)])
    with (
        Transcript(path) as transcript,
        pytest.raises(TranscriptError, match="No space left on device"),
    ):
        Agent(decoder, [tool], thought_tokens=0).run("Save.", listeners=[transcript])
    assert not saved
    assert path.read_bytes().endswith(b"\n")
    assert not [event for event in read(path).events if isinstance(event, Observation)]

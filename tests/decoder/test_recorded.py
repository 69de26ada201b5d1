"""A recording answers what was asked before, as it was answered, and nothing else."""

import json
from collections import UserDict
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder import (
    ConstraintRefused,
    Decoder,
    Finished,
    ImagePart,
    Message,
    RecordedDecoder,
    Sampling,
    ScriptedDecoder,
    ServerFailed,
    TextPart,
    Tool,
    ToolCall,
    UsageError,
    user,
)
from decoder.constraint import choice, json_schema, regex
from decoder.recorded import RecordingDamaged, RecordingMissing, request_key
from decoder.types import Choice, Completion, TokenLogprob, Usage


class Fixed(Decoder):
    """Answers with one completion, as a server would that tells everything."""

    model = "fixed"
    constraints = frozenset({"json"})

    def __init__(self, completion, key=""):
        self.completion, self.api_key, self.asked = completion, key, 0

    async def astream(self, prompt, **_):
        self.asked += 1
        yield Finished(self.completion)


FULL = Completion(
    (
        Choice(
            "Zürich \u2028 🙂",
            "tool_calls",
            0,
            (1, 2),
            (TokenLogprob("Zürich", -0.5, 1, (("Zürich", -0.5), ("Bern", -1.25))), TokenLogprob(" 🙂", -0.1, 2)),
            (ToolCall("1", "search", '{"query": "ü"}'),),
            "Let me see.",
        ),
        Choice("", "length", 1),
    ),
    Usage(7, 2, 3),
    "fixed",
    "id-1",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "recording.jsonl"


def test_everything_of_a_completion_comes_back(path):
    recorded = RecordedDecoder(path, Fixed(FULL)).complete("Hello")
    assert recorded == FULL
    replay = RecordedDecoder(path)
    assert replay.complete("Hello") == FULL
    assert (replay.model, replay.constraints) == ("fixed", frozenset({"json"}))
    *_, last = replay.stream("Hello")
    assert last.completion == FULL


def test_the_decoder_is_asked_once(path):
    source = Fixed(FULL)
    decoder = RecordedDecoder(path, source)
    for _ in range(3):
        decoder.complete("Hello")
    RecordedDecoder(path, source).complete("Hello")
    assert source.asked == 1


def test_a_request_that_was_not_recorded_is_a_typed_error(path):
    RecordedDecoder(path, ScriptedDecoder(["a"])).complete("Hello")
    replay = RecordedDecoder(path)
    with pytest.raises(RecordingMissing, match="no such request"):
        replay.complete("Goodbye")
    with pytest.raises(RecordingMissing):
        replay.complete("Hello", sampling=Sampling(seed=1))
    with pytest.raises(RecordingMissing):
        list(replay.stream("Hello", constraint=choice(["a"])))
    with pytest.raises(UsageError, match="no file"):
        RecordedDecoder(path.with_name("other.jsonl"))


def test_counts_and_the_context_length_are_recorded_too(path):
    source = ScriptedDecoder([], context_length=123)

    async def ask(decoder):
        return await decoder.acount_tokens("one two three"), await decoder.acontext_length()

    from decoder.base import run_sync

    assert run_sync(ask(RecordedDecoder(path, source))) == (3, 123)
    assert run_sync(ask(RecordedDecoder(path))) == (3, 123)


def test_an_error_is_not_recorded(path):
    decoder = RecordedDecoder(path, ScriptedDecoder([ServerFailed("generating", "it died"), "well"]))
    with pytest.raises(ServerFailed):
        decoder.complete("Hello")
    assert decoder.complete("Hello").text == "well"


def test_a_constraint_that_the_recorded_decoder_does_not_enforce_is_refused(path):
    RecordedDecoder(path, Fixed(FULL)).complete("Hello")
    with pytest.raises(ConstraintRefused):
        RecordedDecoder(path).complete("Hello", constraint=regex("a"))


def test_neither_key_nor_address_reaches_the_file(path, monkeypatch):
    from decoder import ServedDecoder

    async def aready(self):
        return self

    async def acomplete(self, *_, **__):
        return FULL

    monkeypatch.setattr(ServedDecoder, "aready", aready)
    monkeypatch.setattr(ServedDecoder, "acomplete", acomplete)
    served = ServedDecoder("http://127.0.0.1:9/v1", "fixed", api_key="sk-secret", headers={"X-Key": "hush"})
    with RecordedDecoder(path, served) as decoder:
        decoder.complete("Hello")
    text = path.read_text()
    assert "Hello" in text
    assert not any(secret in text for secret in ("sk-secret", "hush", "127.0.0.1", "Bearer"))


@pytest.mark.parametrize("line", ["{", "[]", '{"key": "x"}', "null"])
def test_a_damaged_line_is_named(path, line):
    RecordedDecoder(path, Fixed(FULL)).complete("Hello")
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RecordingDamaged, match="line 3"):
        RecordedDecoder(path)


def test_an_answer_that_was_tampered_with_is_a_typed_error(path):
    RecordedDecoder(path, Fixed(FULL)).complete("Hello")
    header, line = path.read_text().splitlines()
    changed = json.loads(line)
    changed["answer"]["choices"][0]["colour"] = "red"
    path.write_text(f"{header}\n{json.dumps(changed)}\n")
    with pytest.raises(RecordingDamaged):
        RecordedDecoder(path).complete("Hello")


def test_the_order_of_a_schemas_properties_is_part_of_the_request():
    def key(*names):
        constraint = json_schema({"type": "object", "properties": {name: {} for name in names}})
        return request_key("complete", {"constraint": constraint})

    assert key("a", "b") == key("a", "b")
    assert key("a", "b") != key("b", "a")


def test_any_mapping_can_be_a_schema(path):
    tool = Tool("t", "", MappingProxyType({"type": "object", "properties": UserDict({})}))
    decoder = RecordedDecoder(path, ScriptedDecoder(["a"]))
    assert decoder.complete("Hello", tools=[tool]).text == RecordedDecoder(path).complete("Hello", tools=[tool]).text


MESSAGES = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.text(max_size=8)
    | st.tuples(st.builds(TextPart, st.text(max_size=4)), st.builds(ImagePart, st.text(max_size=4))),
    st.just(()) | st.tuples(st.builds(ToolCall, st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))),
    st.none() | st.text(max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=3), st.text())
def test_whatever_is_said_is_replayed_as_it_was(tmp_path_factory, messages, text):
    path = tmp_path_factory.mktemp("said") / "recording.jsonl"
    RecordedDecoder(path, Fixed(Completion((Choice(text, "stop"),)))).complete(messages)
    assert RecordedDecoder(path).complete(messages).text == text


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=3), st.lists(MESSAGES, min_size=1, max_size=3))
def test_two_requests_share_a_key_only_when_they_are_equal(first, second):
    same = request_key("complete", {"messages": first}) == request_key("complete", {"messages": second})
    assert same == (first == second)


def test_what_a_person_said_reads_in_the_file(path):
    RecordedDecoder(path, ScriptedDecoder(["a"])).complete([user("Where is the bread?")])
    assert "Where is the bread?" in path.read_text()

"""Server-sent events arrive in any pieces, and come out whole."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder import sse
from decoder.errors import MalformedResponse
from decoder.sse import EventParser


def parse(*pieces):
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.flush()


def in_single_bytes(stream):
    return parse(*(bytes([byte]) for byte in stream))


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\ndata: two\n\n", ["one", "two"]),
        (b"data:one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
        (b"data: one\r\rdata: two\r\r", ["one", "two"]),
        (b": a comment\n\ndata: one\n: another\n\n", ["one"]),
        (b"event: message\nid: 7\nretry: 10\ndata: one\n\n", ["one"]),
        (b"data: two\ndata: lines\n\n", ["two\nlines"]),
        (b"data: two\r\ndata: lines\r\n\r\n", ["two\nlines"]),
        (b"data:  two spaces\n\n", [" two spaces"]),
        (b"data\n\n", [""]),
        (b"nonsense without a colon\ndata: one\n\n", ["one"]),
        (b"\n\n\n\ndata: one\n\n\n\n", ["one"]),
        (b"\xef\xbb\xbfdata: one\n\n", ["one"]),
        (b"data: a\xef\xbb\xbfb\n\n", ["a\ufeffb"]),
        ("data: grüße, 火 🔥\n\n".encode(), ["grüße, 火 🔥"]),
        (b"data: [DONE]", ["[DONE]"]),
        (b"data: [DONE]\n", ["[DONE]"]),
        (b"data: [DONE]\r", ["[DONE]"]),
        (b"data: a\n\ndata: b", ["a", "b"]),
        (b"", []),
        (b"\n", []),
        (b": only a comment", []),
    ],
)
def test_the_events_of_a_stream(stream, events):
    assert parse(stream) == events
    assert in_single_bytes(stream) == events


lines = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=30)
payloads = st.lists(lines, min_size=1, max_size=3).map("\n".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(payloads, max_size=6),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 400), max_size=12),
    st.booleans(),
)
def test_cuts_and_line_ends_change_nothing(payloads, end, cuts, comments):
    stream = b""
    for payload in payloads:
        stream += (b": ping" + end if comments else b"") + b"".join(
            b"data: " + line.encode() + end for line in payload.split("\n")
        )
        stream += end
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert parse(*pieces) == payloads


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_are_parsed_or_refused_and_pieces_do_not_matter(pieces):
    def outcome(*parts):
        try:
            return parse(*parts)
        except MalformedResponse:
            return "refused"

    assert outcome(*pieces) == outcome(b"".join(pieces))


def test_events_come_out_as_soon_as_they_are_whole():
    parser = EventParser()
    assert parser.feed(b"data: one\n") == []
    assert parser.feed(b"\nda") == ["one"]
    assert parser.feed(b"ta: two\r") == []
    assert parser.feed(b"\n\r\n") == ["two"]


def test_an_event_that_is_not_utf8_is_refused():
    with pytest.raises(MalformedResponse, match="UTF-8"):
        parse(b"data: \xff\xfe\n\n")


@pytest.mark.parametrize("line_end", [b"", b"\n"])
def test_an_event_without_end_is_refused(monkeypatch, line_end):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    parser = EventParser()
    with pytest.raises(MalformedResponse, match="larger"):
        for _ in range(200):
            parser.feed(b"data: 0123456789" + line_end)

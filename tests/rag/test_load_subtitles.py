"""Subtitles become paragraphs with the time at which each begins."""

import pytest

from rag.errors import DamagedDocument
from rag.load import load

SRT = """\ufeff1
00:00:01,000 --> 00:00:03,500
<i>Good evening,</i>
ladies and gentlemen.

2
00:00:03,600 --> 00:00:05,000
{\\an8}The warehouse opens at nine.

3
00:00:05,100 --> 00:00:06,000
[door closes]

4
00:00:06,100 --> 00:00:07,000
(laughter)

5
01:02:03,000 --> 01:02:05,000
Tom &amp; Ann left.
"""
VTT = """WEBVTT - The talk

STYLE
::cue { color: red }

NOTE a remark

intro
00:01.000 --> 00:03.000 align:start position:0%
<v Ann>Good <c.loud>evening</c>.

00:03.000 --> 00:04.000
<00:03.200>We roll up

00:04.000 --> 00:05.000
We roll up
one line.
"""


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_subrip(write):
    document = load(write("a.srt", SRT))
    assert document.media_type == "application/x-subrip"
    assert document.text == (
        "[00:00:01] Good evening, ladies and gentlemen. The warehouse opens at nine.\n\n[01:02:03] Tom & Ann left.\n"
    )


def test_webvtt(write):
    document = load(write("a.vtt", VTT))
    assert (document.title, document.media_type) == ("The talk", "text/vtt")
    assert document.text == "[00:00:01] Ann: Good evening. We roll up one line.\n"


def test_long_speech_is_cut_into_paragraphs_at_sentence_ends(write):
    cue = "{n}\n00:{m:02}:{s:02},000 --> 00:{m:02}:{s:02},900\n{text}\n"
    texts = ["And so it goes on", "until it ends."] * 60
    blocks = [cue.format(n=n, m=n // 60, s=n % 60, text=text) for n, text in enumerate(texts)]
    paragraphs = load(write("a.srt", "\n".join(blocks))).text.strip().split("\n\n")
    assert len(paragraphs) > 2
    assert all(paragraph.endswith("ends.") and len(paragraph) < 1300 for paragraph in paragraphs)
    assert sum(paragraph.count("goes on") for paragraph in paragraphs) == 60
    assert all(paragraph.startswith("[00:0") for paragraph in paragraphs)


@pytest.mark.parametrize("name", ["a.srt", "a.vtt"])
def test_a_file_without_times_holds_no_subtitles(write, name):
    with pytest.raises(DamagedDocument, match="no subtitles"):
        load(write(name, "Some words"))

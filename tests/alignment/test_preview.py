"""What is shown of a mask cannot steer a terminal, run in a browser, or be told by colour alone."""

import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.preview import CLOSE, MOST_TOKENS, OPEN, to_html, to_text, visible
from alignment.token_mask import MaskedRow

ROW = MaskedRow((1, 2, 3, 4), (False, False, True, True), ("<|user|>", "Hi\n", "Yo", "<|end|>"))
EVIL = MaskedRow((1, 2), (False, True), ("\x1b]0;owned\x07\x1b[2J\u202e<script>x()</script>", '"><img src=x>\x00⟧'))


def printed(row, **terminal):
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200, markup=False, highlight=False, emoji=False, **terminal).print(to_text(row))
    return out.getvalue()


def test_live_tokens_stand_in_brackets():
    assert to_text(ROW).plain == "<|user|>Hi⏎\n⟦Yo<|end|>⟧"


def test_in_a_terminal_they_are_coloured_too_unless_no_color_is_set(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = printed(ROW, force_terminal=True, color_system="standard")
    assert "\x1b[1;32m⟦Yo<|end|>⟧" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    plain = printed(ROW, force_terminal=True, color_system="standard")
    assert "32m" not in plain
    assert f"{OPEN}Yo<|end|>{CLOSE}" in plain


def test_no_escape_of_a_row_reaches_the_terminal():
    out = printed(EVIL)
    assert not [c for c in out if ord(c) < 32 and c != "\n"]
    assert "␛]0;owned␇␛[2J<U+202E><script>" in out
    assert "␀<U+27E7>⟧" in out


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_visible_text_holds_nothing_that_acts_and_no_bracket_of_ours(text):
    shown = visible(text)
    assert not [c for c in shown if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or c in OPEN + CLOSE]
    assert not re.search("[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]", shown)
    shown.encode("utf-8")


class Page(HTMLParser):
    """The tags of a page, and its tokens: class, title and text of each."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tokens = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        if tag == "span" and attributes.get("class", "").split()[:1] == ["t"]:
            self.tokens.append([attributes["class"], attributes["title"], ""])

    def handle_data(self, data):
        if self.tokens:
            self.tokens[-1][2] += data


def test_the_page_shows_each_token_with_its_id_and_whether_it_is_trained():
    page = Page(to_html([ROW], "Mine & yours"))
    assert [token[:2] for token in page.tokens] == [
        ["t", "1, read"], ["t", "2, read"], ["t live", "3, live"], ["t live", "4, live"],
    ]  # fmt: skip
    assert [token[2] for token in page.tokens[:3]] == ["<|user|>", "Hi⏎\n", "Yo"]


def test_the_page_is_escaped_stands_alone_and_has_both_schemes():
    text = to_html([EVIL], "<b>title</b>")
    page = Page(text)
    assert set(page.tags) <= {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "pre", "span"}
    assert "script" not in page.tags and "http" not in text.replace("http-equiv", "")
    assert "Underlined is what is trained; all else is only read" in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text and "color-scheme: light dark" in text
    assert "text-decoration: underline" in text  # not by colour alone
    assert not [c for c in text if ord(c) < 32 and c != "\n"]


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=8)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_any_row_makes_a_page_with_as_many_tokens(tokens):
    row = MaskedRow(tuple(range(len(tokens))), tuple(t[0] for t in tokens), tuple(t[1] for t in tokens))
    assert len(Page(to_html([row])).tokens) == len(tokens)


def test_a_long_row_is_cut_and_says_so():
    count = MOST_TOKENS + 7
    row = MaskedRow((0,) * count, (True,) * count, ("a",) * count)
    assert to_text(row).plain.endswith("… and 7 tokens more, 7 of them live")
    assert "… and 7 tokens more" in to_html([row])


@pytest.mark.parametrize("name", ["chosen", "<b>"])
def test_a_sequence_of_several_has_its_name(name):
    row = MaskedRow((1,), (True,), ("a",), name)
    assert f"Row 0 ({name.replace('<', '&lt;').replace('>', '&gt;')}): 1 of 1 tokens<" in to_html([row])

"""Text that nobody vouches for as Markdown: what is kept of it, and what can never come out of it."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ui.browser.safe_letters import JOINER, neutral
from ui.browser.safe_text import plain, safe_markdown

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PIECES = st.sampled_from(
    """<script>alert(1)</script> <img/src=x> <!-- --> &lt; &#x3c; &#58; &NewLine; ![a](http://x.y/p.png) ![a][b] [a](b)
    [b]: http://x.y  [b]:javascript:x [a](javascript:alert(1)) <http://x.y> <javascript:x> <a@b.cd> a@b.cd www.x.yz
    https://x.yz/a?b=1&c=2 ``` ~~~ ```html `` ` ** * __ _ ~~ ~ # ## - + 1. 2) > | :--- --- === \\ \\\\ $ $$ :red[ ] :a:
    :material/home: :material_home: :streamlit: ::: -> <- -- <-> >= ~= [^1] [^1]: [ ] ( ) ! & ; { } {{x}} {x} " '
    \u202e \u200b \u2060 \x00 \x1b[31m \t a b c é ä 漢 😀""".split()
    + [
        " ",
        "  ",
        "    ",
        "\n",
        "\n\n",
        "\n    ",
        "\\\n",
        "  \n",
        "|a|b|\n|-|-|\n|",
        "<!--\n",
        "<br>",
        "\n[x]: javascript:a\n",
    ]
)
HOSTILE = st.one_of(st.lists(PIECES, max_size=24).map("".join), st.text(max_size=80))


def flat(tokens):
    for token in tokens:
        yield token
        yield from flat(token.children or ())


def shown(markdown):
    """The letters that a reader sees, without spaces and joiners."""
    seen = []

    class Text(HTMLParser):
        def handle_data(self, data):
            seen.append(data)

    Text().feed(READER.render(markdown))
    return re.sub(rf"[\s{JOINER}]", "", "".join(seen))


def solid(text):
    return re.sub(rf"[\s{JOINER}]", "", neutral(text))


@settings(max_examples=150, deadline=None)
@given(HOSTILE)
@example("12:30:45 :smile: https://x.y -> a@b.cd")
def test_plain_text_shows_just_its_letters(text):
    tokens = READER.parse(plain(text))
    assert {token.type for token in flat(tokens)} <= {
        "paragraph_open",
        "paragraph_close",
        "inline",
        "text",
        "text_special",
    }
    assert shown(plain(text)) == solid(text)
    assert "\n" not in plain(text)


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
@example("[b]: javascript:x\n\n[a][b] ![c][b]")
@example("*&#32;a* &#60;script&#62; &#10;&#10;# a")
def test_markdown_comes_out_without_html_pictures_and_odd_links(text):
    tokens = list(flat(READER.parse(safe_markdown(text))))
    assert not {token.type for token in tokens} & {"html_block", "html_inline", "image"}
    for token in tokens:
        if token.type == "link_open":
            assert re.match(r"(?:https?://|mailto:)", token.attrs["href"], re.IGNORECASE)
            assert "title" not in token.attrs
        if token.type == "heading_open":
            assert int(token.tag[1:]) >= 4


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_what_markdown_shows_stays_the_same_when_it_is_made_safe_again(text):
    once = safe_markdown(text)
    assert shown(safe_markdown(once)) == shown(once)

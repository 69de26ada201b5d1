"""Text that nobody vouches for as Markdown: what is kept of it, and what can never come out of it."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.browser.shown_letters import READER, shown, solid
from ui.browser.safe_letters import JOINER
from ui.browser.safe_text import plain, safe_markdown

WORDS = r"""<script>alert(1)</script> <img/src=x> <!-- --> &lt; &#x3c; &#58; &NewLine; ![a](http://x.y/p.png) ![a][b]
[a](b) [b]: http://x.y [b]:javascript:x [a](javascript:alert(1)) <http://x.y> <javascript:x> <a@b.cd> a@b.cd www.x.yz
https://x.yz/a?b=1&c=2 ``` ~~~ ```html `` ` ** * __ _ ~~ ~ # ## - + 1. 2) > | :--- --- === \ \\ $ $$ :red[ ] :a:
:material/home: :material_home: :streamlit: ::: -> <- -- <-> >= ~= [^1] [^1]: [ ] ( ) ! & ; { } {{x}} {x} " '
a b c é ä 漢 😀"""
UNSEEN = [" ", "  ", "    ", "\t", "\n", "\n\n", "\n    ", "\\\n", "  \n", "\u202e", "\u200b", JOINER, "\0", "\x1b[31m"]
LONGER = ["|a|b|\n|-|-|\n|", "<!--\n", "\n[x]: javascript:a\n"]
PIECES = st.sampled_from([*WORDS.split(), *UNSEEN, *LONGER])
HOSTILE = st.one_of(st.lists(PIECES, max_size=24).map("".join), st.text(max_size=80))


def flat(tokens):
    for token in tokens:
        yield token
        yield from flat(token.children or ())


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

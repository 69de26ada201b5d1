"""What a reader sees of a text and of Markdown, so that the two can be compared."""

import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from ui.browser.safe_letters import JOINER, neutral

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def solid(text):
    """The letters of a text, without spaces, joiners, and what the page takes out."""
    return re.sub(rf"[\s{JOINER}]", "", neutral(text))


def shown(markdown):
    """The letters that Markdown shows, as HTML would."""
    seen = []

    class Text(HTMLParser):
        def handle_data(self, data):
            seen.append(data)

    Text().feed(READER.render(markdown))
    return solid("".join(seen))

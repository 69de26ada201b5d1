"""Which tokens are trained, shown: in a terminal, and as one HTML page that needs nothing else.

What is trained is marked by brackets in the terminal and underlined on the page, so not by colour alone. Rows are
untrusted: control characters become visible signs, in HTML everything is escaped, and the page holds no script.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from alignment.token_mask import MaskedRow

if TYPE_CHECKING:
    from rich.text import Text

OPEN, CLOSE = "⟦", "⟧"
TRAINED = "what is trained"
MOST_TOKENS = 2000
"""Tokens of a row that are shown; of longer ones the rest is counted."""

_NAMED = {"\n": "⏎\n", "\t": "⇥\t", "\r": "␍", "\x7f": "␡"}
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f⟦⟧]|[\n\t]"
)

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root {{ color-scheme: light dark; --live: #d7f0d0; --ink: #222; --page: #fff; --edge: #8886; }}
@media (prefers-color-scheme: dark) {{ :root {{ --live: #1f4a23; --ink: #ddd; --page: #1b1b1b; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--page); }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; line-height: 1.9; margin: 0 0 1.5rem; }}
h2 {{ font-size: 1rem; margin: 1.5rem 0 .3rem; }}
.t {{ border-right: 1px solid var(--edge); }}
.live {{ background: var(--live); text-decoration: underline; text-decoration-thickness: 2px;
  text-underline-offset: 3px; }}
.sign {{ opacity: .55; }}
.note {{ opacity: .7; font-size: 13px; }}
</style></head><body>
<h1>{title}</h1>
<p class="note">{note}</p>
{body}
</body></html>
"""


def to_text(row: MaskedRow) -> Text:
    """The row for a terminal, as `rich` prints it: live stretches in brackets, bold and green."""
    from rich.text import Text

    found = Text()
    shown = list(zip(row.pieces, row.live, strict=True))[:MOST_TOKENS]
    for live, tokens in groupby(shown, key=lambda token: token[1]):
        words = "".join(visible(piece) for piece, _ in tokens)
        found.append(f"{OPEN}{words}{CLOSE}" if live else words, style="bold green" if live else "dim")
    if more := _more(row):
        found.append("\n" + more, style="italic")
    return found


def legend(live: str = TRAINED) -> str:
    """What the brackets of `to_text` mean."""
    return f"{OPEN}between these brackets{CLOSE} is {live}; all else is only read"


def to_html(rows: Sequence[MaskedRow], title: str = "What is trained", live: str = TRAINED) -> str:
    """A page of rows, each token with its id as a tooltip, in light and dark.

    Args:
        live: what the underlined tokens are.
    """
    body = "\n".join(_section(number, row) for number, row in enumerate(rows))
    note = f"Underlined is {live}; all else is only read. A thin line ends each token."
    return PAGE.format(title=html.escape(title), note=html.escape(note), body=body)


def visible(text: str) -> str:
    """Characters that would act on a terminal, or could not be seen, as signs; our own brackets too."""
    return _UNSEEN.sub(_sign, text)


def _sign(match: re.Match[str]) -> str:
    character = match.group()
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return chr(0x2400 + code) if code < 32 else f"<U+{code:04X}>"


def _section(number: int, row: MaskedRow) -> str:
    live = sum(row.live)
    name = f" ({html.escape(row.name)})" if row.name else ""
    head = f"<h2>Row {number}{name}: {live} of {len(row.ids)} tokens</h2>"
    shown = zip(row.ids, row.live, row.pieces, strict=True)
    tokens = "".join(_token(*token) for _, token in zip(range(MOST_TOKENS), shown, strict=False))
    more = f'\n<span class="note">{_more(row)}</span>' if _more(row) else ""
    return f"{head}\n<pre>{tokens}{more}</pre>"


def _token(number: int, live: bool, piece: str) -> str:
    # The sign of a line feed comes before the break, so that the token's own end is seen.
    words = html.escape(visible(piece))
    for sign in ("⏎", "⇥"):
        words = words.replace(sign, f'<span class="sign">{sign}</span>')
    state = "live" if live else "read"
    return f'<span class="t{" live" if live else ""}" title="{number}, {state}">{words}</span>'


def _more(row: MaskedRow) -> str:
    left = row.live[MOST_TOKENS:]
    return f"… and {len(left)} tokens more, {sum(left)} of them live" if left else ""

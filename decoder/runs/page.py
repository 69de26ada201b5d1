"""A report as one HTML page: plots as inline SVG, no script, nothing fetched, every text escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1d2127; --paper: #fdfcfa; --faint: #6b7280; --line: #d9d6d0;
  --card: #ffffff; --alarm: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e3dd; --paper: #17181b; --faint: #9aa0aa; --line: #34363c;
  --card: #1e2024; --alarm: #ff8a80; } }
body { margin: 2rem auto; max-width: 68rem; padding: 0 1.25rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .75rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: .95rem; margin: 1.25rem 0 .5rem; color: var(--faint); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem 1.25rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
th { color: var(--faint); font-weight: 500; }
.wide { overflow-x: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
figure img { max-width: 100%; image-rendering: pixelated; } figcaption { color: var(--faint); font-size: .85rem; }
.plot svg { width: 100%; height: auto; display: block; }
.alarm { border-left: .3rem solid var(--alarm); color: var(--alarm); padding: .5rem .9rem; margin: 1rem 0; }
.sample { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .9rem;
  margin: .6rem 0; }
.sample p { margin: 0 0 .3rem; color: var(--faint); font-size: .85rem; }
pre { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace; }
pre.response { border-left: .2rem solid #3987d6; padding-left: .7rem; margin-top: .5rem; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
PICTURES = "; img-src data:"
"""Added to the policy of a page that carries pictures within itself."""


def page(title: str, body: Iterable[str], pictures: bool = False) -> str:
    """A whole page; `body` is HTML already. With `pictures` it may show those of `picture`."""
    policy = POLICY + PICTURES if pictures else POLICY
    parts = "\n".join(part for part in body if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{parts}\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of escaped texts; empty without rows. Without a head, the first column names the second."""
    lines = []
    for row in rows:
        first = f"<td>{escape(row[0])}</td>" if head else f'<th scope="row">{escape(row[0])}</th>'
        lines.append("<tr>" + first + "".join(f"<td>{escape(text)}</td>" for text in row[1:]) + "</tr>")
    if not lines:
        return ""
    top = "<tr>" + "".join(f'<th scope="col">{escape(text)}</th>' for text in head) + "</tr>" if head else ""
    return f'<div class="wide"><table>{top}{"".join(lines)}</table></div>'


def picture(png: bytes, text: str) -> str:
    """A PNG that the page carries within itself; `text` says what it shows."""
    data = b64encode(png).decode("ascii")
    told = escape(text, quote=True)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{told}"><figcaption>{told}</figcaption></figure>'


def plots(drawn: Iterable[str]) -> str:
    """SVGs beside each other, as many as fit; empty without any."""
    cards = "\n".join(f'<div class="plot">{svg}</div>' for svg in drawn)
    return f'<div class="plots">\n{cards}\n</div>' if cards else ""

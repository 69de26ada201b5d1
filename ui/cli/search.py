"""`hearth search`: the passages that fit a query, without an answer made of them."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from ui.cli import wiring
from ui.cli.main import new_app
from ui.cli.options import Debug, Json, KnowledgeBaseName
from ui.cli.output import print_json, print_text, remark
from ui.cli.text import clean_line

app = new_app()


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="At most this many passages.")
    ] = 5,
    kb: KnowledgeBaseName = wiring.DEFAULT,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Find passages in a knowledge base, best first."""
    with closing(wiring.open_knowledge_base(kb)) as base:
        hits = base.search(query, limit=limit)
    if json:
        print_json({"query": query, "hits": hits})
        return
    if not hits:
        remark("Nothing was found.")
    for number, hit in enumerate(hits, start=1):
        print_text(f"{number}. {clean_line(hit.passage.location)}  ({hit.score:.3f})", style="cyan")
        print_text(clean_line(hit.passage.text), indent=4)

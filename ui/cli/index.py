"""`hearth index`: read files and folders into a knowledge base."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from ui.cli import wiring
from ui.cli.main import new_app
from ui.cli.options import Debug, Json, KnowledgeBaseName
from ui.cli.output import describe, print_json, print_text

app = new_app()


@app.command()
def index(
    paths: Annotated[list[str], typer.Argument(help="Files, folders and web addresses.", show_default=False)],
    kb: KnowledgeBaseName = wiring.DEFAULT,
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Whose documents these are.")] = "",
    readers: Annotated[
        list[str] | None,
        typer.Option("--reader", metavar="WHO", help="Who may see them, as user:ann or group:staff; repeat it."),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--meta", metavar="KEY=VALUE", help="Something to filter by; repeat it."),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option("--include", metavar="PATTERN", help="Take only such files; repeat it.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Leave such files and folders out; repeat it."),
    ] = None,
    gitignore: Annotated[bool, typer.Option("--gitignore", help="Leave out what .gitignore files leave out.")] = False,
    sitemap: Annotated[bool, typer.Option("--sitemap", help="The addresses are sitemaps: read their pages.")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Start from nothing; what is not in PATHS goes.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Read files, folders and web pages into a knowledge base.

    Words find a text as soon as it was read; meaning does once its vectors are there, in the same run. An interrupted
    run is taken up where it stopped. What has not changed since the last time is left alone, and what was deleted
    from a folder leaves the knowledge base too. The exit code is 2 when nothing at all could be read.
    """
    with closing(wiring.open_knowledge_base(kb)) as base:
        labels = wiring.labels(tenant, readers or (), metadata or ())
        chosen = wiring.selection(include or (), exclude or (), gitignore)
        report = wiring.read_sources(base, paths, sitemap, rebuild, labels, chosen)
    if json:
        print_json(report)
    else:
        print_text(f"{kb}: {describe(report)}")
    read = report.unchanged or report.added or report.updated or report.removed or report.duplicates
    return 0 if read else 2

"""`hearth kb export | import`: a knowledge base as one file, for another machine or another store."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ui.cli import wiring
from ui.cli.options import Debug, Json, KnowledgeBaseName
from ui.cli.output import print_json, print_text

File = Annotated[Path, typer.Argument(help="The exported file, such as manual.hearth.", show_default=False)]


def export(file: File, kb: KnowledgeBaseName = wiring.DEFAULT, json: Json = False, debug: Debug = False) -> None:
    """Write a knowledge base, with its vectors, to one file."""
    with closing(wiring.open_knowledge_base(kb)) as base:
        manifest = base.export(file)
    _tell(kb, file, "exported to", len(manifest.documents), manifest.passages, json)


def import_file(
    file: File,
    kb: KnowledgeBaseName = wiring.DEFAULT,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of what the name holds now.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a knowledge base from an exported file; nothing is embedded again."""
    with closing(wiring.open_knowledge_base(kb)) as base:
        manifest = base.import_from(file, replace=replace)
    _tell(kb, file, "imported from", len(manifest.documents), manifest.passages, json)


def _tell(kb: str, file: Path, done: str, documents: int, passages: int, json: bool) -> None:
    if json:
        print_json({"name": kb, "file": file, "documents": documents, "passages": passages})
    else:
        print_text(f"{kb}: {documents} documents ({passages} passages) {done} {file}")


def add_to(app: typer.Typer) -> None:
    """These commands, below `hearth kb`."""
    app.command()(export)
    app.command("import")(import_file)

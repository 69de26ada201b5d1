"""`hearth kb`: the knowledge bases themselves: which there are, what they hold, and what is to leave them."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli import kb_care, kb_eval, kb_move, wiring
from ui.cli.main import COMMANDS, new_app
from ui.cli.options import Debug, Json, KnowledgeBaseName
from ui.cli.output import print_json, print_table, print_text, remark

app = new_app(help=COMMANDS["kb"], no_args_is_help=True)
kb_care.add_to(app)
kb_move.add_to(app)


@app.command("list")
def list_names(json: Json = False, debug: Debug = False) -> None:
    """List the knowledge bases."""
    names = wiring.knowledge_bases()
    if json:
        print_json({"knowledge_bases": names})
    elif names:
        print("\n".join(names))
    else:
        remark("There is no knowledge base yet. Make one: hearth index PATH")


@app.command()
def show(kb: KnowledgeBaseName = wiring.DEFAULT, json: Json = False, debug: Debug = False) -> None:
    """Show what a knowledge base holds and how it was made."""
    facts = _facts(kb)
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        print_text(f"{name.replace('_', ' '):<14}{value}")


def _facts(kb: str) -> dict[str, Any]:
    manifest = wiring.manifest(kb)
    return {
        "name": kb,
        "documents": len(manifest.documents),
        "passages": manifest.passages,
        "embedder": manifest.embedder,
        "dimension": manifest.dimension,
        "chunk_tokens": manifest.chunk_tokens,
        "chunk_overlap": manifest.chunk_overlap,
        "generation": manifest.generation,
    }


@app.command()
def documents(kb: KnowledgeBaseName = wiring.DEFAULT, json: Json = False, debug: Debug = False) -> None:
    """List the documents in a knowledge base."""
    held = wiring.manifest(kb).documents
    if json:
        print_json(
            {"name": kb, "documents": [{"source": source, **_document(held[source])} for source in sorted(held)]}
        )
        return
    rows = [(source, str(held[source].passages), held[source].title) for source in sorted(held)]
    print_table(("source", "passages", "title"), rows)


def _document(entry: Any) -> dict[str, Any]:
    kept = ("title", "passages", "size", "path", "hash", "duplicate_of")
    return {name: getattr(entry, name) for name in kept}


@app.command()
def remove(
    sources: Annotated[list[str] | None, typer.Argument(help="Documents, by the names that `documents` lists.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove the whole knowledge base.")] = False,
    kb: KnowledgeBaseName = wiring.DEFAULT,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Remove documents from a knowledge base, or all of it. The files themselves stay."""
    if everything == bool(sources):
        raise UsageError("removing", "neither documents nor --all was given, or both were", "Give one of the two")
    if everything:
        wiring.forget(kb)
    else:
        with closing(wiring.open_knowledge_base(kb)) as base:
            for source in sources or ():
                base.remove(source)
    removed = ["the whole knowledge base"] if everything else list(sources or ())
    if json:
        print_json({"name": kb, "removed": None if everything else removed, "all": everything})
    else:
        print_text(f"{kb}: removed {', '.join(removed)}")


app.command("eval")(kb_eval.evaluate)

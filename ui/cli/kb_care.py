"""`hearth kb stats | verify | repair`: what a knowledge base is made of, whether it is whole, and making it so."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

import typer

from ui.cli import wiring
from ui.cli.options import Debug, Json, KnowledgeBaseName
from ui.cli.output import describe, print_json, print_text, progress_bar, remark
from ui.text_cleaning import clean_line


def stats(kb: KnowledgeBaseName = wiring.DEFAULT, json: Json = False, debug: Debug = False) -> None:
    """Show how much a knowledge base holds, of what kinds, and what it takes on the disk."""
    with closing(wiring.open_knowledge_base(kb)) as base:
        base.store.refresh()
        facts = _facts(kb, base)
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        shown = ", ".join(f"{count} {kind}" for kind, count in value.items()) if isinstance(value, dict) else value
        print_text(f"{name.replace('_', ' '):<16}{shown}")


def _facts(kb: str, base: Any) -> dict[str, Any]:
    manifest, size = base.store.manifest(), base.store.size()
    own = [entry for entry in manifest.documents.values() if not entry.duplicate_of]
    passages = manifest.passages
    return {
        "name": kb,
        "documents": len(own),
        "duplicates": len(manifest.documents) - len(own),
        "kinds": dict(Counter(entry.media_type or "unknown" for entry in own).most_common()),
        "tenants": len({entry.tenant for entry in own if entry.tenant}),
        "restricted": sum(bool(entry.readers) for entry in own),
        "passages": passages,
        "pending": len(manifest.pending),
        "shards": len(manifest.shards),
        "with_graph": sum(shard.graph for shard in manifest.shards),
        "mebibytes": None if size is None else round(size / 2**20, 1),
        "bytes_a_passage": None if size is None or not passages else round(size / passages),
        "embedder": manifest.embedder,
        "dimension": manifest.dimension,
        "generation": manifest.generation,
    }


def verify(kb: KnowledgeBaseName = wiring.DEFAULT, json: Json = False, debug: Debug = False) -> int:
    """Look at every file, text, passage and vector of a knowledge base.

    The exit code is 1 when something is wrong.
    """
    with closing(wiring.open_knowledge_base(kb)) as base:
        problems = base.verify()
    if json:
        print_json({"name": kb, "problems": problems})
    elif not problems:
        print_text(f"{kb}: everything is as it should be")
    for problem in problems if not json else ():
        print_text(clean_line(f"{problem.source or kb}: {problem.what}"))
    if problems and not json:
        remark(f"Mend it: hearth kb repair --kb {kb}")
    return 1 if problems else 0


def repair(kb: KnowledgeBaseName = wiring.DEFAULT, json: Json = False, debug: Debug = False) -> int:
    """Take out what is damaged and read it again from its files; finish what an interrupted run left.

    The exit code is 1 when documents were lost because their files are not there any more.
    """
    with closing(wiring.open_knowledge_base(kb)) as base, progress_bar() as on_progress:
        found = base.repair(on_progress)
    if json:
        print_json({"name": kb, **{name: getattr(found, name) for name in ("problems", "lost", "report")}})
        return 1 if found.lost else 0
    for problem in found.problems:
        print_text(clean_line(f"{problem.source or kb}: {problem.what}"))
    print_text(f"{kb}: {describe(found.report) if found.problems else 'nothing to repair'}")
    for source in found.lost:
        remark(f"  lost, its file is not there any more: {clean_line(source)}")
    return 1 if found.lost else 0


def add_to(app: typer.Typer) -> None:
    """These commands, below `hearth kb`."""
    for command in (stats, verify, repair):
        app.command()(command)

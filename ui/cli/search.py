"""`hearth search`: the passages that fit a query, without an answer made of them, and why these."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from ui.cli import wiring
from ui.cli.main import new_app
from ui.cli.options import Debug, Json, KnowledgeBaseName
from ui.cli.output import print_json, print_text, remark
from ui.text_cleaning import clean_line

if TYPE_CHECKING:
    from rag.explain import Explanation, QueryReason, Reason
    from rag.filters import Where
    from rag.retrieve import Search
    from rag.types import Hit

app = new_app()


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="At most this many passages.")
    ] = 5,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="CONDITION", help="Only documents with author=Ann, year>=2020, draft!=true."),
    ] = None,
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Only documents of this tenant.")] = "",
    readers: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="READER", help="See what this reader may, such as user:ann or group:staff."),
    ] = None,
    diversity: Annotated[
        float | None,
        typer.Option(
            "--mmr", metavar="LAMBDA", min=0.0, max=1.0, help="Avoid repetition: 1 is relevance alone, 0 difference."
        ),
    ] = None,
    reranker: Annotated[
        str, typer.Option("--rerank", metavar="MODEL", help="Read what is found again with this cross-encoder.")
    ] = "",
    parents: Annotated[
        bool, typer.Option("--parents", help="Show the wider stretch where much of it is found.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each step of the search gave each hit.")
    ] = False,
    kb: KnowledgeBaseName = wiring.DEFAULT,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Find passages in a knowledge base, best first."""
    options = _options(limit, _where(where or (), tenant, readers or ()), diversity, reranker, parents)
    with closing(wiring.open_knowledge_base(kb)) as base:
        explanation = base.explain(query, options=options) if explain else None
        hits = [reason.hit for reason in explanation.hits] if explanation else base.search(query, options=options)
    if json:
        print_json({"query": query, "hits": hits} | ({"explanation": explanation} if explanation else {}))
        return
    if not hits:
        remark("Nothing was found.")
    for number, hit in enumerate(hits, start=1):
        _print_hit(number, hit)
        if explanation:
            _print_reason(explanation.hits[number - 1])
    if explanation:
        _print_search(explanation)


def _where(conditions: list[str] | tuple[str, ...], tenant: str, readers: list[str] | tuple[str, ...]) -> Where | None:
    if not conditions and not tenant and not readers:
        return None
    from rag.filters import Access, parse_where

    return parse_where(conditions, Access(tenant, tuple(readers)) if tenant or readers else None)


def _options(limit: int, where: Where | None, diversity: float | None, reranker: str, parents: bool) -> Search:
    from rag.parents import Parents
    from rag.rerank import CrossEncoderReranker
    from rag.retrieve import Search
    from rag.settings import rag_settings

    return Search(
        limit=limit,
        pool=rag_settings().pool,
        where=where,
        reranker=CrossEncoderReranker(reranker) if reranker else None,
        diversity=diversity,
        parents=Parents() if parents else None,
    )


def _print_hit(number: int, hit: Hit) -> None:
    print_text(f"{number}. {clean_line(hit.passage.location)}  ({hit.score:.3f})", style="cyan")
    print_text(clean_line(hit.passage.text), indent=4)


def _print_reason(reason: Reason) -> None:
    for said in reason.queries:
        _print_query(said, named=len(reason.queries) > 1)
    lines = [f"fused {reason.fused_score:.3f}, rank {reason.fused_rank}"] if reason.fused_score is not None else []
    if reason.ordered_rank is not None:
        lines.append(f"by its sentences rank {reason.ordered_rank}")
    if reason.reranker_score is not None:
        lines.append(f"reranker {reason.reranker_score:.3f}, rank {reason.reranked_rank}")
    if reason.diversified_rank is not None:
        lines.append(f"diversity rank {reason.diversified_rank}")
    if reason.merged:
        lines.append(f"parent of {clean_line('; '.join(reason.merged))}")
    print_text(" | ".join(lines), style="dim", indent=4)


def _print_query(said: QueryReason, named: bool) -> None:
    dense = f"dense {said.cosine:.3f}, rank {said.dense_rank}" if said.cosine is not None else "dense not found"
    sparse = f"BM25 {said.bm25:.2f}, rank {said.sparse_rank}" if said.bm25 is not None else "BM25 not found"
    parts = " + ".join(f"{value:.3f} {name}" for name, value in said.parts.items())
    if named:
        print_text(f"query: {clean_line(said.query)}", style="dim", indent=4)
    print_text(f"{dense} | {sparse} | {parts}", style="dim", indent=4)
    missing = f"; not there: {clean_line(', '.join(said.missing))}" if said.missing else ""
    print_text(f"words: {clean_line(', '.join(said.words)) or 'none'}{missing}", style="dim", indent=4)


def _print_search(explanation: Explanation) -> None:
    told = [f"filter: {each}" for each in explanation.filters]
    told += [f"reranker: {explanation.reranker}"] if explanation.reranker else []
    told += [f"diversity: lambda {explanation.diversity:g}"] if explanation.diversity is not None else []
    for line in told:
        print_text(clean_line(line), style="dim")

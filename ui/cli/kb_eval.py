"""`hearth kb eval`: a knowledge base measured on questions with known answers, under one setting or two."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli import wiring
from ui.cli.figures import SUMMARY_HEADS, compared_heads, compared_rows, summary_rows
from ui.cli.options import BaseUrl, Debug, Docs, Embedded, Json, KnowledgeBaseName, Model
from ui.cli.output import as_data, print_json, print_table, progress_bar, remark
from ui.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.evaluate import Evaluation
    from rag.knowledge import KnowledgeBase
    from rag.questions import Questions
    from rag.trial import Setting

MOST_LISTED = 10


def evaluate(
    questions: Annotated[Path, typer.Argument(help="Questions, one JSON object a line.", show_default=False)],
    kb: KnowledgeBaseName = wiring.DEFAULT,
    docs: Docs = None,
    setting: Annotated[
        str, typer.Option(metavar="SETTING", help="key=value,key=value or a TOML file, in place of the defaults.")
    ] = "default",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two settings on the same questions; shows B minus A."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep what came of each question, as JSONL.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the results in --out.")] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Ask the first N questions only.")] = None,
    k: Annotated[str, typer.Option(metavar="K,K", help="Ranks for recall@k.")] = "1,5,10",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the resampling behind the intervals.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="List rows that cannot be used, and go on.")] = False,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure search and answers on questions with known answers.

    A row: {"question": "…", "answers": ["…"], "sources": ["lease.pdf"]}, or {"question": "…", "answerable": false}.
    Figures are means over the questions that have them, with 95% intervals. Works with a decoder and without one.
    """
    from rag.evaluate import compare as compare_evaluations
    from rag.questions import read_questions
    from rag.trial import parse_setting

    if resume and out is None:
        raise UsageError("reading the command line", "--resume was given without --out", "Name the file to go on with")
    settings = [parse_setting(text) for text in compare or (setting,)]
    ks = _ks(k)
    read = read_questions(questions, skip_bad, limit)
    for row in read.bad[:MOST_LISTED]:
        remark(f"  left out: {row}")
    if read.bad:
        remark(f"{len(read.bad)} rows left out, {len(read.questions)} questions read")
    decoder = wiring.find_decoder(wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded))
    with closing(Session(wiring.prepare(kb, docs, decoder), kb, decoder)) as session:
        found, stale = _run(session.base, read, settings, ks, out, resume)
    _remarks(found, stale)
    if json:
        print_json(_as_json(found, read, stale, seed))
    elif len(found) == 1:
        print_table(SUMMARY_HEADS, summary_rows(found[0].summary(seed)))
    else:
        first, second = (evaluation.summary(seed) for evaluation in found)
        heads = compared_heads(found[0].setting.name, found[1].setting.name)
        print_table(heads, compared_rows(first, second, compare_evaluations(found[0], found[1], seed)))


def _ks(text: str) -> tuple[int, ...]:
    from rag.evaluate import check_ks

    try:
        return check_ks([int(part) for part in text.split(",")])
    except ValueError as error:
        raise UsageError("reading the command line", f"--k {text!r} is no list of numbers", "Write 1,5,10") from error


def _run(
    base: KnowledgeBase, read: Questions, settings: Sequence[Setting], ks: Sequence[int], out: Path | None, resume: bool
) -> tuple[list[Evaluation], int]:
    """Every setting in turn, and how many results in the file are of something else."""
    from prompts.results import results_file
    from rag.evaluate import evaluate as run
    from rag.results import Row

    with results_file(out, Row, resume) as (known, keep), progress_bar() as on_progress:
        found = [
            run(base, read.questions, each, ks=ks, known=known, keep=keep, on_progress=on_progress) for each in settings
        ]
    mine = {row.key for evaluation in found for row in evaluation.rows}
    return found, len(known.keys() - mine)


def _remarks(found: Sequence[Evaluation], stale: int) -> None:
    """What the figures do not say by themselves."""
    for name in found[0].missing[:MOST_LISTED]:
        remark(f"  no document is called {name}: nothing can find it")
    if found[0].missing:
        remark(f"{len(found[0].missing)} documents that questions name are not in the knowledge base")
    for evaluation in found:
        for key, reason in list(evaluation.failed.items())[:MOST_LISTED]:
            remark(f"  question {key} was not answered: {reason}")
        if evaluation.failed:
            remark(f"{len(evaluation.failed)} questions were not answered ({evaluation.setting.name})")
    if stale:
        remark(f"{stale} results in the file are of other questions, settings or an older index: not counted")


def _as_json(found: Sequence[Evaluation], read: Questions, stale: int, seed: int) -> Any:
    from rag.evaluate import compare

    settings = [
        {
            "name": evaluation.setting.name,
            "options": evaluation.setting.options,
            "summary": evaluation.summary(seed),
            "failed": evaluation.failed,
            "resumed": evaluation.resumed,
        }
        for evaluation in found
    ]
    bad = [{"line": row.line, "field": row.field, "reason": row.reason} for row in read.bad]
    body = {"questions": len(read.questions), "bad_rows": bad, "missing_documents": found[0].missing, "stale": stale}
    paired = {"differences": compare(found[0], found[1], seed)} if len(found) == 2 else {}
    return as_data({**body, "settings": settings, **paired})

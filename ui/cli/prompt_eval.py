"""`hearth prompt eval` and `hearth prompt compare`: prompts measured on questions with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decoder.errors import UsageError
from ui.cli import wiring
from ui.cli.figures import SUMMARY_HEADS, compared_heads, compared_rows, summary_rows
from ui.cli.options import BaseUrl, Debug, Embedded, Json, Model
from ui.cli.output import print_json, print_table, progress_bar, remark
from ui.cli.prompt_values import Folders, Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prompts.evaluate import Evaluation, Way
    from prompts.items import Items

MOST_LISTED = 10
NAMING = "Give --base-url or --embedded"

Data = Annotated[Path, typer.Argument(help="Questions with answers, one JSON object a line.", show_default=False)]
Answer = Annotated[
    str,
    typer.Option(
        "--answer",
        metavar="KIND",
        help="number, choice[:ABCD], yesno, date[:dmy], json[:field], text, regex:PATTERN.",
    ),
]
Samples = Annotated[int, typer.Option(metavar="N", min=1, help="More than 1: self-consistency over up to N samples.")]
Vote = Annotated[str, typer.Option(metavar="HOW", help="Of self-consistency: majority, logprob or confidence.")]
Every = Annotated[bool, typer.Option("--every-sample", help="Draw all samples, also when fewer would do.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Keep what came of each question, as JSONL.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the results in --out.")]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="Ask the first N questions only.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="List rows that cannot be used, and go on.")]
Concurrency = Annotated[int, typer.Option(metavar="N", min=1, max=256, help="Questions under way at once.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of the samples, and of the resampling behind intervals.")]
Temperature = Annotated[float | None, typer.Option(min=0, max=2, help="0 is greedy; else as the prompt says.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", metavar="N", min=1, help="Most tokens of an answer.")]


@dataclass(frozen=True, slots=True)
class Options:
    """What the two commands have in common."""

    data: Path
    answer: str
    samples: int
    vote: str
    every: bool
    out: Path | None
    resume: bool
    limit: int | None
    skip_bad: bool
    concurrency: int
    seed: int
    temperature: float | None
    max_tokens: int | None
    choice: wiring.DecoderChoice


def add_to(app: typer.Typer) -> None:
    """Put the commands into a group."""
    app.command("eval")(evaluate)
    app.command("compare")(compare)


def evaluate(
    prompt: Name,
    data: Data,
    answer: Answer = "number",
    samples: Samples = 1,
    vote: Vote = "majority",
    every: Every = False,
    out: Out = None,
    resume: Resume = False,
    limit: Limit = None,
    skip_bad: SkipBad = False,
    concurrency: Concurrency = 8,
    seed: Seed = 0,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    folder: Folders = None,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a prompt: accuracy with its interval, tokens, seconds.

    A row: {"question": "…", "answer": 7}, or values of the prompt's variables with an "answer" or "answers". A
    question that the decoder fails on counts as wrong, and is asked again with --resume.
    """
    choice = wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded)
    options = Options(
        data, answer, samples, vote, every, out, resume, limit, skip_bad, concurrency, seed, temperature, max_tokens,
        choice,
    )  # fmt: skip
    found, read, stale = _measure([prompt], folder, options)
    if json:
        print_json(_as_json(found, read, stale, seed))
        return
    print_table(SUMMARY_HEADS, summary_rows(found[0].summary(seed)))


def compare(
    first: Name,
    second: Name,
    data: Data,
    answer: Answer = "number",
    samples: Samples = 1,
    vote: Vote = "majority",
    every: Every = False,
    out: Out = None,
    resume: Resume = False,
    limit: Limit = None,
    skip_bad: SkipBad = False,
    concurrency: Concurrency = 8,
    seed: Seed = 0,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    folder: Folders = None,
    model: Model = "",
    base_url: BaseUrl = "",
    embedded: Embedded = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure two prompts on the same questions: paired differences, second minus first, with their intervals.

    Rows as for `hearth prompt eval`; a row's values go to whichever prompt has variables for them.
    """
    choice = wiring.DecoderChoice(base_url=base_url, model=model, embedded=embedded)
    options = Options(
        data, answer, samples, vote, every, out, resume, limit, skip_bad, concurrency, seed, temperature, max_tokens,
        choice,
    )  # fmt: skip
    found, read, stale = _measure([first, second], folder, options)
    if json:
        print_json(_as_json(found, read, stale, seed))
        return
    from prompts.evaluate import compare as compare_evaluations

    heads = compared_heads(*(evaluation.prompt.name for evaluation in found))
    one, other = (evaluation.summary(seed) for evaluation in found)
    print_table(heads, compared_rows(one, other, compare_evaluations(found[0], found[1], seed)))


def _measure(names: Sequence[str], folder: list[Path] | None, options: Options) -> tuple[list[Evaluation], Items, int]:
    """Every prompt in turn, what was read, and how many results in the file are of something else."""
    from prompts.evaluate import Row
    from prompts.evaluate import evaluate as run
    from prompts.folders import load
    from prompts.items import read_items
    from prompts.results import results_file

    if options.resume and options.out is None:
        raise UsageError("reading the command line", "--resume was given without --out", "Name the file to go on with")
    prompts = [load(name, folder or ()) for name in names]
    way = _way(options)
    read = read_items(options.data, prompts, way.extractor, options.skip_bad, options.limit)
    _remark_bad(read)
    with (
        wiring.measured_decoder(options.choice, "measuring a prompt", NAMING) as decoder,
        results_file(options.out, Row, options.resume) as (known, keep),
        progress_bar() as on_progress,
    ):
        found = [
            run(decoder, each, read.items, way, concurrency=options.concurrency, known=known, keep=keep,
                on_progress=on_progress)
            for each in prompts
        ]  # fmt: skip
    stale = len(known.keys() - {row.key for evaluation in found for row in evaluation.rows})
    _remark_failed(found)
    if stale:
        remark(f"{stale} results in the file are of other questions, prompts, options or models: not counted")
    return found, read, stale


def _way(options: Options) -> Way:
    from decoder.types import Sampling
    from prompts.evaluate import Way
    from prompts.extract import extractor
    from prompts.stopping import NEVER, Stopping
    from prompts.voting import METHODS

    vote = next((method for method in METHODS if method == options.vote), None)
    if vote is None:
        remedy = f"Choose one of {', '.join(METHODS)}"
        raise UsageError("reading the command line", f"--vote {options.vote!r} is no way to vote", remedy)
    sampling = Sampling(temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed)
    stopping = NEVER if options.every else Stopping()
    return Way(extractor(options.answer), sampling, options.samples, vote, stopping)


def _remark_bad(read: Items) -> None:
    for row in read.bad[:MOST_LISTED]:
        remark(f"  left out: {row}")
    if read.bad:
        remark(f"{len(read.bad)} rows left out, {len(read.items)} questions read")


def _remark_failed(found: Sequence[Evaluation]) -> None:
    for evaluation in found:
        for key, reason in list(evaluation.failed.items())[:MOST_LISTED]:
            remark(f"  question {key} was not answered: {reason}")
        if evaluation.failed:
            remark(
                f"{len(evaluation.failed)} questions were not answered and count as wrong ({evaluation.prompt.name})"
            )


def _as_json(found: Sequence[Evaluation], read: Items, stale: int, seed: int) -> Any:
    from prompts.evaluate import compare as compare_evaluations

    prompts = [
        {
            "name": evaluation.prompt.name,
            "version": evaluation.prompt.version,
            "summary": evaluation.summary(seed),
            "latency": evaluation.latency,
            "failed": evaluation.failed,
            "resumed": evaluation.resumed,
        }
        for evaluation in found
    ]
    bad = [{"line": row.line, "field": row.field, "reason": row.reason} for row in read.bad]
    body = {"questions": len(read.items), "bad_rows": bad, "stale": stale, "prompts": prompts}
    paired = {"differences": compare_evaluations(found[0], found[1], seed)} if len(found) == 2 else {}
    return {**body, **paired}

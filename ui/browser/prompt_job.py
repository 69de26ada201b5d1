"""The job of kind "prompts": variants measured on the same questions, one after another, with results as they come.

A comparison that was killed is gone on with by a new job that takes over what the old one had written.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decoder.base import run_sync
from decoder.errors import UsageError
from decoder.runs.record import read_object
from ui.browser import jobs
from ui.browser.job_process import Running
from ui.cli import wiring

if TYPE_CHECKING:
    from prompts.evaluate import Evaluation
    from prompts.items import Item
    from prompts.results import EvalProgress
    from prompts.variants import Variant

RESULTS = "results-{}.jsonl"
MOST_SHOWN = 200
"""Questions told one by one on which the variants differ."""
LONGEST = 2000


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """Measure every variant of `spec`.

    `spec` holds `variants` (label, name and text of a prompt, technique, samples), `rows` (JSON lines), `answer` (a
    kind of answer), and perhaps `embedded` (a model to run in process, in place of a server's), `concurrency`,
    `max_tokens` and `resumes`, the id of a job to go on with.

    Raises:
        UsageError: there is no decoder, or the rows cannot be used; errors of prompts and of the decoder.
    """
    from prompts.evaluate import Row, evaluate
    from prompts.results import results_file

    _take_over(str(spec.get("resumes", "")), job.folder)
    variants, items, shown = _read(spec, job.folder)
    embedded = str(spec.get("embedded", ""))
    choice = wiring.DecoderChoice(model=str(spec.get("model", "")), embedded=Path(embedded) if embedded else None)
    decoder = wiring.find_decoder(choice)
    if decoder is None:
        remedy = "Start a server on the health page, or set HEARTH_DECODER_BASE_URL"
        raise UsageError("comparing prompts", "there is no decoder", remedy)
    found = []
    with decoder:
        run_sync(decoder.apinned())  # the figures are of one model, also when another is promoted meanwhile
        for number, variant in enumerate(variants):
            told = partial(_tell, job, variants, number)
            with results_file(job.folder / RESULTS.format(number), Row, resume=True) as (known, keep):
                found.append(
                    evaluate(
                        decoder, variant.prompt, items, variant.way,
                        concurrency=int(spec.get("concurrency", 8)), known=known, keep=keep, on_progress=told,
                    )
                )  # fmt: skip
        model = decoder.model
    return {**_result(variants, found, items), "shown": shown, "model": model}


def _read(spec: Mapping[str, Any], folder: Path) -> tuple[list[Variant], tuple[Item, ...], int]:
    """The variants, the questions they are asked, and how many of the questions are shown as examples."""
    from prompts.extract import extractor
    from prompts.front_matter import parse
    from prompts.items import read_items
    from prompts.variants import Variant, split, with_technique

    asked: Sequence[Mapping[str, Any]] = spec["variants"]
    prompts = [parse(str(each["text"]), str(each["name"])) for each in asked]
    data = folder / "questions.jsonl"
    data.write_text(str(spec["rows"]), encoding="utf-8")
    reader = extractor(str(spec["answer"]))
    shown, items = split(read_items(data, prompts, reader), [str(each["technique"]) for each in asked])
    variants = [
        Variant(str(each["label"]), with_technique(prompt, each["technique"], shown), _way(spec, each))
        for each, prompt in zip(asked, prompts, strict=True)
    ]
    return variants, items, len(shown)


def _way(spec: Mapping[str, Any], variant: Mapping[str, Any]) -> Any:
    from decoder.types import Sampling
    from prompts.evaluate import Way
    from prompts.extract import extractor

    sampling = Sampling(max_tokens=spec.get("max_tokens"), seed=0)
    return Way(extractor(str(spec["answer"])), sampling, int(variant.get("samples", 1)))


def _take_over(job_id: str, folder: Path) -> None:
    """What an earlier job had written. Raises UsageError when it is gone."""
    if not job_id:
        return
    person = str(read_object(folder / "job.json").get("person", ""))
    for file in sorted(jobs.find(job_id, person).folder.glob(RESULTS.format("*"))):
        if not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


def _tell(job: Running, variants: Sequence[Variant], number: int, progress: EvalProgress) -> None:
    done = [1.0] * number + [progress.done / progress.total] + [0.0] * (len(variants) - number - 1)
    job.tell(
        variant=variants[number].label, number=number + 1, variants=len(variants),
        done=progress.done, total=progress.total, share=sum(done) / len(variants),
    )  # fmt: skip


def _result(variants: Sequence[Variant], found: Sequence[Evaluation], items: Sequence[Item]) -> dict[str, Any]:
    from prompts.evaluate import compare

    told = []
    for variant, evaluation in zip(variants, found, strict=True):
        difference = compare(found[0], evaluation) if evaluation is not found[0] else {}
        told.append(
            {
                "label": variant.label,
                "prompt": evaluation.prompt.name,
                "summary": {name: asdict(each) for name, each in evaluation.summary().items()},
                "difference": {name: asdict(each) for name, each in difference.items()},
                "latency": evaluation.latency,
                "failed": evaluation.failed,
                "resumed": evaluation.resumed,
            }
        )
    return {"questions": len(items), "variants": told, "rows": _differing(found, items)}


def _differing(found: Sequence[Evaluation], items: Sequence[Item]) -> list[dict[str, Any]]:
    """The questions that not all variants got right, or all wrong: what each answered, and with which words."""
    rows = []
    for number, item in enumerate(items):
        answers = [evaluation.rows[number] for evaluation in found]
        if len({row.metrics.get("accuracy") for row in answers}) < 2:
            continue
        told = [
            {"answer": row.answer, "right": bool(row.metrics.get("accuracy")), "output": row.output[:LONGEST]}
            for row in answers
        ]
        asked = " · ".join(str(value) for value in item.values.values())
        rows.append({"id": item.id, "asked": asked[:LONGEST], "right": list(item.answers), "answers": told})
    return rows[:MOST_SHOWN]

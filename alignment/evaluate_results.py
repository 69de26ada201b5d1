"""What came of each question of an evaluation, kept as it comes, so that an interrupted one goes on where it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from decoder.errors import ServiceError, UsageError
from prompts.concurrency import run_bounded
from prompts.errors import OutputError
from prompts.results import EvalProgress, Sink, results_file

FAILURES = 20
"""So many failures in a row, and whoever is asked is gone."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one question.

    Attributes:
        key: a hash of everything that the result depends on.
        text: an answer, or a verdict.
        metrics: figures.
        error: why there is none; asked again when the run is resumed.
    """

    key: str
    id: str
    text: str = ""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


OnProgress = Callable[[EvalProgress], None]
Work = Callable[[], Awaitable[Made]]


@dataclass(slots=True)
class Notebook:
    """Results by key, in memory and, where a folder was given, in its `answers.jsonl`."""

    known: dict[str, Made]
    keep: Sink[Made]
    on_progress: OnProgress | None = None

    async def fill(self, jobs: Mapping[str, Work], concurrency: int) -> list[Made]:
        """The results of these keys, in order; only those that are missing are worked out.

        Raises:
            ServiceError: so many failed in a row that whoever is asked must be gone.
        """
        state = _State(self, len(jobs), concurrency)
        missing = [key for key in jobs if key not in self.known or self.known[key].error]
        state.done = len(jobs) - len(missing)
        await run_bounded([partial(state.work, key, jobs[key]) for key in missing], concurrency)
        return [self.known[key] for key in jobs]


@dataclass(slots=True)
class _State:
    notebook: Notebook
    total: int
    concurrency: int
    done: int = 0
    failures: int = 0

    async def work(self, key: str, job: Work) -> None:
        """One question's result, kept; an error becomes one."""
        try:
            made = await job()
        except ServiceError as error:
            self.failures += not isinstance(error, OutputError)  # that is an answer, though none of use
            if self.failures >= FAILURES + self.concurrency:
                raise
            made = Made(key, key[:8], error=str(error))
        else:
            self.failures = 0
        self.notebook.known[key] = made
        self.notebook.keep(made)
        self.done += 1
        if self.notebook.on_progress is not None:
            self.notebook.on_progress(EvalProgress("asking", self.done, self.total))


def open_notebook(stack: ExitStack, folder: Path | None, on_progress: OnProgress | None = None) -> Notebook:
    """A notebook that goes on with what the folder holds. Raises UsageError, ResultsFailed."""
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cause = f"{folder} cannot be made: {error.strerror}"
            raise UsageError("opening the evaluation's folder", cause, "Give another") from error
    file = folder / "answers.jsonl" if folder is not None else None
    known, keep = stack.enter_context(results_file(file, Made, resume=True))
    return Notebook(dict(known), keep, on_progress)


def paired(first: Sequence[Made], second: Sequence[Made], name: str) -> tuple[list[float], list[float], int]:
    """The values of a figure where both sides have it, and how many questions lack it."""
    values = [(a.metrics.get(name), b.metrics.get(name)) for a, b in zip(first, second, strict=True)]
    whole = [(a, b) for a, b in values if a is not None and b is not None]
    return [a for a, _ in whole], [b for _, b in whole], len(values) - len(whole)

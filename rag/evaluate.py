"""Evaluate a knowledge base: every question asked under a setting, its figures kept, and the whole summed up.

The door to questions, gold, metrics, results and intervals. Works with a decoder and without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from decoder.errors import UsageError
from prompts.figures import compare_rows, summarise
from prompts.intervals import Interval
from prompts.results import EvalProgress, Sink, key_of
from rag import metrics
from rag.gold import Documents, Gold, gold, is_right, ranks
from rag.questions import Question
from rag.results import Row
from rag.trial import Setting, Trial
from rag.types import Answer, Hit

if TYPE_CHECKING:
    from rag.knowledge import KnowledgeBase

KS = (1, 5, 10)
NDCG_AT = 10
UNPAIRED = frozenset({"refusal_precision", "citation_precision"})
"""Figures over what a setting itself chose to do, so that two settings have no questions to be paired on."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of one setting.

    Attributes:
        rows: one a question, in the order asked.
        resumed: how many of them an earlier run had left.
        missing: documents that questions name and the index lacks; nothing can find them.
    """

    setting: Setting
    rows: tuple[Row, ...]
    resumed: int = 0
    missing: tuple[str, ...] = ()

    def summary(self, seed: int = 0) -> dict[str, Interval]:
        """Each figure's mean over the questions that have it, with its interval; figures that none has are absent."""
        return summarise(self.rows, seed)

    @property
    def failed(self) -> dict[str, str]:
        """Questions that could not be answered, by id, with the reason."""
        return {row.id: row.error for row in self.rows if row.error}


def evaluate(
    base: KnowledgeBase,
    questions: Sequence[Question],
    setting: Setting | None = None,
    *,
    ks: Sequence[int] = KS,
    known: Mapping[str, Row] | None = None,
    keep: Sink[Row] | None = None,
    on_progress: Callable[[EvalProgress], None] | None = None,
) -> Evaluation:
    """Ask every question under `setting` and judge what comes back.

    A question that cannot be answered, such as one too long for the decoder, is a row with its error and figures of
    0; a server that fails ends the run, since what was kept lets it go on later.

    Args:
        ks: for recall@k, each from 1 to 1000.
        known: rows of an earlier run by key: these questions are not asked again.
        keep: takes each new row at once.

    Raises:
        UsageError: there are no questions, a k cannot be one, or a document's name could mean several.
        IndexNotFound, IndexMismatch: there is nothing to ask, or another model made it.
        ServiceError: the decoder or the store failed.
    """
    setting, known = setting or Setting(), known or {}
    ks = check_ks(ks)
    if not questions:
        raise UsageError("evaluating", "there are no questions", "Give some")
    run = _Run(base, setting, ks)
    rows, resumed = [], 0
    for done, question in enumerate(questions):
        if on_progress is not None:
            on_progress(EvalProgress("asking", done, len(questions)))
        wanted = gold(question, run.documents)
        row = known.get(run.key(question))
        if row is not None:
            resumed += 1
        else:
            if resumed == done:
                base.embedder.embed_query(question.question)  # loads the model, which is no part of a question's time
            row = run.ask(question, wanted)
            if keep is not None:
                keep(row)
        rows.append(row)
    return Evaluation(setting, tuple(rows), resumed, tuple(run.documents.missing))


def compare(first: Evaluation, second: Evaluation, seed: int = 0) -> dict[str, Interval]:
    """Second minus first, figure by figure, over the questions for which both have it."""
    return compare_rows(first.rows, second.rows, seed, UNPAIRED)


def check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """The ks in order, each once; raises UsageError."""
    if not ks or not all(1 <= k <= 1000 for k in ks):
        raise UsageError("evaluating", f"k={','.join(map(str, ks))} cannot be", "Give numbers from 1 to 1000")
    return tuple(sorted(set(ks)))


class _Run:
    """One setting at work."""

    def __init__(self, base: KnowledgeBase, setting: Setting, ks: Sequence[int]) -> None:
        self.setting, self.ks, self.depth = setting, ks, max(*ks, NDCG_AT)
        self.trial = Trial(base, setting)
        self.documents = Documents(base.documents())
        manifest = base.store.manifest()
        self.index = (manifest.generation, manifest.embedder, manifest.sha256)
        decoder = self.trial.decoder
        self.decoder = (type(decoder).__name__, decoder.model) if decoder is not None else ()

    def key(self, question: Question) -> str:
        """What the result of this question depends on."""
        return key_of(asdict(question), dict(self.setting.options), self.index, self.decoder, self.ks)

    def ask(self, question: Question, wanted: Gold) -> Row:
        """One row."""
        started = time.perf_counter()
        hits = self.trial.search(question, self.depth)
        searched = time.perf_counter()
        answer, error = self._answer(question)
        timings = {"search": searched - started, "answer": time.perf_counter() - searched}
        places = ranks(wanted, hits)
        found = _retrieval(wanted, places, self.ks) | _answering(question, wanted, answer)
        return Row(
            key=self.key(question),
            setting=self.setting.name,
            options=dict(self.setting.options),
            id=question.id,
            question=question.question,
            by=wanted.by,
            wanted=wanted.names,
            ranks=places,
            hits=tuple(_place(hit) for hit in hits),
            answer=answer.text,
            refused=answer.refused,
            generated=answer.generated,
            confidence=answer.confidence,
            citations=tuple(_cited(wanted, answer)),
            metrics=found,
            timings=timings,
            error=error,
        )

    def _answer(self, question: Question) -> tuple[Answer, str]:
        try:
            return self.trial.ask(question), ""
        except UsageError as error:  # this question's fault: the search before it went well
            return Answer(""), str(error)


def _retrieval(wanted: Gold, places: Sequence[int | None], ks: Sequence[int]) -> dict[str, float | None]:
    names = [*(f"recall@{k}" for k in ks), "mrr", f"ndcg@{NDCG_AT}"]
    if not wanted.by:
        return dict.fromkeys(names)
    recalls = [metrics.recall_at_k(places, k) for k in ks]
    ndcg = metrics.ndcg_at_k(places, wanted.grades, NDCG_AT)
    return dict(zip(names, [*recalls, metrics.reciprocal_rank(places), ndcg], strict=True))


def _answering(question: Question, wanted: Gold, answer: Answer) -> dict[str, float | None]:
    """An answer to what cannot be answered has no words to compare; a refusal of it is right."""
    said, answers = metrics.without_markers(answer.text), question.answers
    told = not answer.refused
    right = [is_right(wanted, citation) for citation in answer.citations] if wanted.by else []
    return {
        "contains_answer": float(told and metrics.contains_answer(said, answers)) if answers else None,
        "token_f1": metrics.token_f1(said, answers) * told if answers else None,
        "citation_precision": metrics.precision(right),
        "refusal_precision": float(not question.answerable) if answer.refused else None,
        "refusal_recall": None if question.answerable else float(answer.refused),
        "wrongly_refused": float(answer.refused) if question.answerable else None,
    }


def _place(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {"source": passage.source, "start": passage.start, "end": passage.end, "score": round(hit.score, 6)}


def _cited(wanted: Gold, answer: Answer) -> Iterator[dict[str, Any]]:
    for citation in answer.citations:
        place = {"source": citation.source, "start": citation.start, "end": citation.end, "quote": citation.quote}
        yield {**place, "right": is_right(wanted, citation) if wanted.by else None}

"""A question and its answer as feedback keeps them: what the terminal's chat and the browser's have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from decoder.types import user

if TYPE_CHECKING:
    from alignment.feedback_events import Exchange, Shown
    from decoder.types import Message, Sampling
    from rag.types import Answer, Passage


def exchange_of(
    question: str,
    answer: Answer,
    history: Sequence[Message] = (),
    *,
    model: str = "",
    sampling: Sampling | None = None,
    conversation: str = "",
) -> Exchange:
    """An answered question with all that the answer was made from.

    Args:
        history: what was said before the question.
        model: what wrote the answer; of no matter where it was quoted from documents.
        sampling: how its tokens were drawn.
        conversation: the id of the chat.
    """
    from alignment.feedback_events import EXTRACTIVE, Exchange

    name = (model or "unnamed") if answer.generated else EXTRACTIVE
    return Exchange.of(
        (*history, user(question)),
        answer.text,
        model=name,
        adapter=name if _registered(name) else "",
        sampling=sampling if answer.generated else None,
        context=_shown(answer),
        conversation=conversation,
    )


def _registered(model: str) -> bool:
    """Whether what a server calls so is an artefact: an adapter is served under its id."""
    from alignment.registry_artefact import ID, models_folder

    return ID.fullmatch(model) is not None and (models_folder() / model).is_dir()


def _shown(answer: Answer) -> list[Shown]:
    """The passages in the order that the answer's numbers mean.

    A decoder's numbers are those of the passages it was shown. An answer that was quoted numbers its quotes, so the
    passage of each comes first.
    """
    passages = [hit.passage for hit in answer.passages]
    if not answer.generated:
        by_id = {passage.id: passage for passage in passages}
        cited = [by_id[c.passage_id] for c in answer.citations if c.passage_id in by_id]
        passages = [*cited, *(passage for passage in passages if passage not in cited)]
    return [_as_shown(passage) for passage in passages]


def _as_shown(passage: Passage) -> Shown:
    """A passage as the grounded-answer prompt shows it."""
    from alignment.feedback_events import Shown

    label = " > ".join(dict.fromkeys((passage.location, *passage.heading)))
    return Shown("\n".join(part for part in (passage.context, passage.text) if part), label, passage.id)

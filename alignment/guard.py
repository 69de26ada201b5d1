"""What must hold before a stage trains: there is a pad token, every row teaches something, and the end of a turn."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alignment.errors import MaskError
from alignment.token_mask import TokenSequence, sequences
from alignment.training_template import REMEDY, STEP, check_end_of_turn, template_of

MOST_NAMED = 8
LONGER = "Raise training.max_length, or shorten or leave out these rows"


@dataclass(frozen=True, slots=True)
class MaskReport:
    """The rows as they are trained.

    Attributes:
        rows: how many.
        sequences: how many a trainer makes of them; two of a pair, K of a ranking.
        tokens, live: in all sequences, after truncation; how many of them are trained.
        longest: tokens of the longest sequence, before truncation.
        long: indexes of rows with a sequence longer than `max_length`.
        unended: indexes of those that lose live tokens by it, the end of their turn among them.
        lengths: tokens of each row's longest sequence, before truncation; 0 where it cannot be read.
    """

    rows: int
    sequences: int
    tokens: int
    live: int
    longest: int
    long: tuple[int, ...] = ()
    unended: tuple[int, ...] = ()
    lengths: tuple[int, ...] = field(default=(), repr=False)


def check_masks(
    tokenizer: Any, rows: Sequence[Mapping[str, Any]], row_format: str, max_length: int | None = None
) -> MaskReport:
    """Refuse rows that would not teach what was meant.

    Args:
        tokenizer: for conversations, one of `training_tokenizer`.
        rows, row_format: as `alignment.data` gives them.
        max_length: the stage's; longer sequences lose their end.

    Raises:
        MaskError: no pad token; conversations and no chat template; `messages` and a template without markers; a turn
            whose end is not trained; rows with no live label, named by index, also after truncation.
    """
    check_tokenizer(tokenizer, rows, row_format)
    report, found = measure(tokenizer, rows, row_format, max_length)
    if found is not None:
        raise found
    return report


def check_tokenizer(tokenizer: Any, rows: Sequence[Mapping[str, Any]], row_format: str) -> None:
    """Refuse a tokenizer that cannot serve rows of this format. Raises MaskError."""
    from trl.chat_template_utils import has_generation_markers

    if tokenizer.pad_token is None:
        raise MaskError(STEP, "the tokenizer has no pad token", "Set tokenizer.pad_token to a token that is not used")
    if not any(is_conversation(row) for row in rows):
        return
    template = template_of(tokenizer)
    if row_format == "messages":
        if not has_generation_markers(template):
            cause = "the chat template has no {% generation %} markers"
            raise MaskError(STEP, cause, "Take the tokenizer of training_tokenizer. " + REMEDY)
        check_end_of_turn(tokenizer)


def is_conversation(row: Mapping[str, Any]) -> bool:
    """Whether the row is of messages, not of plain text."""
    return "messages" in row or isinstance(row.get("prompt"), list)


def measure(
    tokenizer: Any, rows: Iterable[Mapping[str, Any]], row_format: str, max_length: int | None = None
) -> tuple[MaskReport, MaskError | None]:
    """The report, and what `check_masks` refuses the rows for, if it does."""
    tally = _Tally(tokenizer, row_format, max_length)
    for index, row in enumerate(rows):
        tally.add(index, row)
    return tally.report(), tally.refusal()


class _Tally:
    """Counts rows, and notes what is wrong with which."""

    def __init__(self, tokenizer: Any, row_format: str, max_length: int | None) -> None:
        self.tokenizer, self.row_format, self.max_length = tokenizer, row_format, max_length
        self.enders = {*tokenizer.get_added_vocab().values(), tokenizer.eos_token_id}
        self.sequences = self.tokens = self.live = 0
        self.lengths: list[int] = []
        self.long: list[int] = []
        self.unended: list[int] = []
        self.dead: list[int] = []
        self.dead_by_length: list[int] = []
        self.endless: list[int] = []
        self.refused: dict[int, MaskError] = {}

    def add(self, index: int, row: Mapping[str, Any]) -> None:
        try:
            whole = sequences(self.tokenizer, row, self.row_format)
        except MaskError as error:
            self.refused[index] = error
            self.lengths.append(0)
            return
        cut = [one.cut(self.max_length) for one in whole]
        self._count(index, whole, cut)
        if self.row_format != "prompt":
            self._judge(index, whole, cut)

    def _count(self, index: int, whole: Sequence[TokenSequence], cut: Sequence[TokenSequence]) -> None:
        self.lengths.append(max(len(one.ids) for one in whole))
        self.sequences += len(whole)
        self.tokens += sum(len(one.ids) for one in cut)
        self.live += sum(sum(one.live) for one in cut)
        lost = [one.live[len(short.ids) :] for one, short in zip(whole, cut, strict=True)]
        if any(lost):
            self.long.append(index)
        if any(any(each) for each in lost):
            self.unended.append(index)

    def _judge(self, index: int, whole: Sequence[TokenSequence], cut: Sequence[TokenSequence]) -> None:
        if not all(any(one.live) for one in whole):
            self.dead.append(index)
        elif not all(any(one.live) for one in cut):
            self.dead_by_length.append(index)
        if not all(_ends(self.tokenizer, one, self.enders) for one in whole):
            self.endless.append(index)

    def report(self) -> MaskReport:
        return MaskReport(
            rows=len(self.lengths),
            sequences=self.sequences,
            tokens=self.tokens,
            live=self.live,
            longest=max(self.lengths, default=0),
            long=tuple(self.long),
            unended=tuple(self.unended),
            lengths=tuple(self.lengths),
        )

    def refusal(self) -> MaskError | None:
        if self.refused:
            index, first = next(iter(self.refused.items()))
            others = f" ({_named(self.refused)} in all)" if len(self.refused) > 1 else ""
            return MaskError(first.step, f"row {index}: {first.cause}{others}", first.remedy)
        if self.dead:
            return MaskError(
                STEP, f"{_named(self.dead)} would train no token", "Leave them out, or give them an answer"
            )
        if self.dead_by_length:
            cause = f"{_named(self.dead_by_length)} would train no token after max_length {self.max_length}"
            return MaskError(STEP, cause, LONGER)
        if self.endless:
            cause = f"{_named(self.endless)}: the end-of-turn token would not be trained"
            return MaskError(STEP, cause, "End turns within the markers of the chat template; see model.chat_template")
        return None


def _ends(tokenizer: Any, sequence: TokenSequence, enders: Collection[int | None]) -> bool:
    """Whether each stretch of live tokens ends, white space aside, in a token that can end a turn."""
    live = (*sequence.live, False)
    lasts = [at for at in range(len(sequence.ids)) if live[at] and not live[at + 1]]
    return all(_last_word(tokenizer, sequence, at) in enders for at in lasts)


def _last_word(tokenizer: Any, sequence: TokenSequence, at: int) -> int | None:
    """The token at `at`, or the first before it, still live, that is not white space."""
    while at >= 0 and sequence.live[at]:
        if tokenizer.decode([sequence.ids[at]]).strip():
            return sequence.ids[at]
        at -= 1
    return None


def _named(rows: Collection[int]) -> str:
    """Rows by index from 0, the first few."""
    some = list(rows)[:MOST_NAMED]
    more = f" and {len(rows) - len(some)} more" if len(rows) > len(some) else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, some))}{more}"

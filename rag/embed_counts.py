"""How many tokens texts have, fast: by their words where the tokenizer adds up over words, else by whole texts.

A BERT tokenizer parts its text at white space before anything else, so a text has as many tokens as its words have
together, and most words have been counted before. Cutting a document counts every stretch of it several times.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MEMO = 65_536
"""Counts that are remembered."""
MEMO_CHARACTERS = 2_000
GLUE = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"
"""White space to Python, and nothing at all to a BERT tokenizer: the words on either side are one."""


class TokenCounts:
    """Counts by one tokenizer, without limit and without its markers. Safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._by_words = tokenizer, adds_up(tokenizer)
        self._known: dict[str, int] = {}
        self._lock = threading.Lock()

    def count(self, text: str) -> int:
        """Tokens in `text`."""
        parts = self._parts(text)
        try:
            return sum(map(self._known.__getitem__, parts))
        except KeyError:
            return _sum(parts, self._counted(parts))

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens in each text; what is not known yet is tokenised at once, on all cores."""
        parted = [self._parts(text) for text in texts]
        counts = self._counted(part for parts in parted for part in parts)
        return [_sum(parts, counts) for parts in parted]

    def _parts(self, text: str) -> list[str]:
        """Texts that have as many tokens together as `text` has."""
        return text.split() if self._by_words and not any(mark in text for mark in GLUE) else [text]

    def _counted(self, parts: Iterable[str]) -> dict[str, int]:
        known = self._known
        counts = {part: known.get(part, -1) for part in parts}
        missing = [part for part, count in counts.items() if count < 0]
        encodings = self._tokenizer.encode_batch_fast(missing, add_special_tokens=False)
        found = {part: len(encoding.ids) for part, encoding in zip(missing, encodings, strict=True)}
        self._remember(found)
        return counts | found

    def _remember(self, counts: Mapping[str, int]) -> None:
        short = [(part, count) for part, count in counts.items() if len(part) <= MEMO_CHARACTERS][:MEMO]
        with self._lock:
            if len(self._known) + len(short) > MEMO:
                self._known = {}  # another one, and not the same emptied, which another thread may be reading
            self._known.update(short)


def _sum(parts: Iterable[str], counts: Mapping[str, int]) -> int:
    return sum(map(counts.__getitem__, parts))


def adds_up(tokenizer: Tokenizer) -> bool:
    """Whether a text's tokens are those of its words: of BERT's own kind, and no added token holds white space."""
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    is_bert = (
        isinstance(tokenizer.model, WordPiece)
        and isinstance(tokenizer.normalizer, BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
    )
    return is_bert and not any(
        any(character.isspace() for character in token.content)
        for token in tokenizer.get_added_tokens_decoder().values()
    )

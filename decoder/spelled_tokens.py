"""Tokens that a grammar allows and xgrammar's mask leaves out.

xgrammar 0.2.8 leaves some tokens out of a mask that its own matcher accepts: with the vocabulary `c`, `ck`, `clock` and
`zz`, `clock` is left out of the mask of `root ::= "clock"`. A model that would write it is then led elsewhere. Where
few tokens are allowed, what may follow is spelled out byte by byte here, and what was left out is added.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FEW = 64
"""Allowed tokens. Where more are allowed the grammar stands in free text, and a token that is left out is no loss."""
MOST_TRIED = 512
"""Beginnings of tokens that are tried for one mask; each takes about a microsecond."""
PAST = b"\xff" * 64
"""More of what no text holds than a token is long."""


class Spelled:
    """The tokens of a vocabulary in the order of their bytes. `vocabulary`: the bytes of each id."""

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        known = sorted((spelling, token) for token, spelling in enumerate(vocabulary) if spelling)
        self._vocabulary = vocabulary
        self._spellings = [spelling for spelling, _ in known]
        self._tokens = [token for _, token in known]

    def complete(self, bits: torch.Tensor, matcher: Any) -> None:
        """Add to a mask, of shape (words of 32 tokens,) and int32, the tokens that the matcher accepts all the same."""
        import numpy

        words = bits.numpy().view("uint32")
        allowed = numpy.unpackbits(words.view("uint8"), bitorder="little").nonzero()[0].tolist()
        if len(allowed) > FEW:
            return
        for token in self._accepted(allowed, matcher):
            words[token // 32] |= 1 << (token % 32)

    def _accepted(self, allowed: Sequence[int], matcher: Any) -> Iterator[int]:
        """Tokens that begin with the byte of an allowed one: a beginning that fails ends all that begins so."""
        beginnings = sorted({self._vocabulary[token][:1] for token in allowed if self._vocabulary[token]})
        tried = 0
        while beginnings and tried < MOST_TRIED:
            begun, tried = beginnings.pop(), tried + 1
            if matcher.accept_string(begun):
                matcher.rollback(1)
                yield from self._spelled(begun, matcher)
                beginnings += self._longer(begun)

    def _spelled(self, spelling: bytes, matcher: Any) -> Iterator[int]:
        """The tokens of these bytes that are accepted: special ones are not, though their text may be."""
        at = bisect_left(self._spellings, spelling)
        while at < len(self._spellings) and self._spellings[at] == spelling:
            if matcher.accept_token(self._tokens[at]):
                matcher.rollback(1)
                yield self._tokens[at]
            at += 1

    def _longer(self, begun: bytes) -> Iterator[bytes]:
        """The beginnings of tokens that are one byte longer."""
        at, length = bisect_left(self._spellings, begun), len(begun)
        while at < len(self._spellings) and self._spellings[at].startswith(begun):
            longer = self._spellings[at][: length + 1]
            if len(longer) > length:
                yield longer
                at = bisect_left(self._spellings, longer + PAST)  # past every token that begins with `longer`
            else:
                at += 1

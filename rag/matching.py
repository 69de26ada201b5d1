"""How well a passage answers to every token of a question: late interaction, as in ColBERT.

Each token of the question is compared with every token of the passage, in its context, and the best cosine counts;
the mean over the question is what Khattab and Zaharia 2020 rank by (MaxSim). One vector for a whole text says what it
is about; this says whether each thing asked for is there, also in other words. The sentence model was not trained for
it, but its vector is the mean of just these token vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.searchable import searchable
from rag.types import Passage

if TYPE_CHECKING:
    from rag.embed import Embedder


def match(question: str, passage: Passage, embedder: Embedder) -> float | None:
    """Mean over the question's tokens of the best cosine to a token of the passage; at most 1.

    None when the embedder has no vectors for tokens. Reads both texts once more, as far as the model reads them.
    """
    asked, read = embedder.embed_tokens(question), embedder.embed_tokens(searchable(passage))
    if asked is None or read is None:
        return None
    return float((asked @ read.T).max(axis=1).mean())

"""How well a passage answers to every token of a question, and that the confidence goes by it where it is known."""

import numpy as np
import pytest

from rag.embed import SentenceEmbedder
from rag.matching import match
from rag.support import FEWEST_WORDS, WITH_TOKENS, WITHOUT_TOKENS, assess, features
from rag.types import Hit

LEASE = "The tenant pays the landlord on the third of each month. Cats and dogs are not allowed in the flat."


@pytest.fixture
def token_embedder(make_embedder):
    """Knows tokens too: each has its word's vector, whatever stands around it."""

    class Tokens(make_embedder):
        def embed_tokens(self, text):
            return np.stack([self._vector(word) for word in text.split()])

    return Tokens()


def test_it_is_the_mean_of_the_best_cosine_of_each_token(make_passage, token_embedder):
    passage = make_passage("dog cat")
    near = token_embedder.embed_tokens("dog cat fish") @ token_embedder.embed_tokens(f"{passage.title} dog cat").T
    assert match("dog dog", passage, token_embedder) == pytest.approx(1.0, abs=1e-5)
    assert match("dog fish", passage, token_embedder) == pytest.approx((1 + near[2].max()) / 2, abs=1e-5)


def test_the_order_of_words_and_what_else_is_there_do_not_matter_to_words_without_context(make_passage, token_embedder):
    one, other = make_passage("dog cat"), make_passage("fish cat bird dog")
    assert match("cat dog", one, token_embedder) == pytest.approx(match("dog cat", other, token_embedder), abs=1e-5)


def test_without_vectors_for_tokens_there_is_no_match_and_the_other_rule_holds(make_passage, embedder):
    hit = Hit(make_passage(LEASE), 0.5, 0.5, 1.0)
    assert match("Are dogs allowed?", hit.passage, embedder) is None
    support = assess("Are dogs allowed?", [hit], embedder)
    assert support.confidence == WITHOUT_TOKENS.confidence(features(support.evidence[0]))


def test_with_them_the_confidence_rises_with_the_match(make_passage, token_embedder):
    hit = Hit(make_passage(LEASE), 0.5, 0.5, 1.0)
    support = assess("Are dogs allowed?", [hit], token_embedder)
    matched = match("Are dogs allowed?", hit.passage, token_embedder)
    best = support.evidence[0]
    assert support.confidence == WITH_TOKENS.confidence(features(best, matched))
    assert WITH_TOKENS.confidence(features(best, matched + 0.1)) > support.confidence


def test_very_short_passages_count_as_equally_short(make_passage, embedder):
    def length(words):
        hit = Hit(make_passage("dog " * words), 0.5, 0.5, 1.0)
        return features(assess("dog", [hit], embedder).evidence[0], 0.5)[-2]

    assert length(1) == length(FEWEST_WORDS) < length(FEWEST_WORDS + 1)


def test_other_words_for_the_same_thing_match(make_passage):
    model, passage = SentenceEmbedder(), make_passage(LEASE)
    said_otherwise = match("When is the rent due?", passage, model)
    assert said_otherwise > match("When was the volcano discovered?", passage, model)
    assert 0 < said_otherwise <= 1

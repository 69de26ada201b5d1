"""Reranking: the order of a stand-in that counts, and a real cross-encoder of random weights saved on the spot.

No pretrained cross-encoder is at hand, so nothing here says how much one helps.
"""

import json

import pytest

from rag import KnowledgeBase
from rag.errors import RerankerError
from rag.rerank import CrossEncoderReranker, Reranker, rerank
from rag.retrieve import Search, retrieve
from rag.types import Hit, Passage


class Counting(Reranker):
    """How often the word "wall" stands in a text."""

    name = "counting"

    def __init__(self):
        self.asked = []

    def score(self, query, texts):
        self.asked.append((query, tuple(texts)))
        return [float(text.count("wall")) for text in texts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT of two small layers and random weights, as sentence-transformers saves cross-encoders."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    made = tmp_path_factory.mktemp("reranker")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "waters", "roses", "wall", "##s", "the", "grow"]
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(made)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
        num_labels=1,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(made, safe_serialization=True)
    return made


def hits(*texts):
    return [
        Hit(Passage(f"id{n}", text, "a.md", "", 0, len(text), 1, 1), 1.0 - n / 10, 0.5, 2.0)
        for n, text in enumerate(texts)
    ]


def test_the_order_is_the_rerankers_and_equals_keep_theirs():
    found = rerank("q", hits("a", "wall wall", "b", "wall"), Counting())
    assert [hit.passage.text for hit in found] == ["wall wall", "wall", "a", "b"]
    assert [hit.score for hit in found] == [2.0, 1.0, 0.0, 0.0]
    assert {hit.dense for hit in found} == {0.5}


def test_only_the_best_are_read_again_with_headings_and_context(store, write, embedder):
    texts = [f"Roses number {n} grow{' wall' * n}" for n in range(20)]
    write(store, {"a.md": texts})
    reranker = Counting()
    found = retrieve("roses", store, embedder, Search(limit=3, reranker=reranker, reranked=5))
    assert len(reranker.asked[0][1]) == 5
    assert len(found) == 3
    assert [hit.score for hit in found] == sorted((float(t.count("wall")) for t in reranker.asked[0][1]), reverse=True)[
        :3
    ]
    passage = Passage("id", "text", "a.md", "", 0, 4, 1, 1, heading=("One", "Two"), context="| a |")
    rerank("q", [Hit(passage, 1.0)], reranker)
    assert reranker.asked[-1] == ("q", ("One > Two\n| a |\ntext",))


@pytest.mark.parametrize("scores", [[1.0], [1.0, float("nan")], [1.0, 2.0, 3.0]])
def test_scores_that_are_none_are_a_typed_error(scores):
    class Broken(Reranker):
        name = "broken"

        def score(self, query, texts):
            return scores

    with pytest.raises(RerankerError, match="broken did not give each passage a number"):
        rerank("q", hits("a", "b"), Broken())


def test_a_cross_encoder_from_a_folder(folder):
    reranker = CrossEncoderReranker(str(folder))
    texts = ["the roses grow", "the wall", "roses roses roses", "wall " * 3000, ""]
    scores = reranker.score("who waters the roses", texts)
    assert len(scores) == len(texts)
    assert len(set(scores[:3])) == 3
    assert reranker.score("who waters the roses", texts[::-1]) == pytest.approx(scores[::-1], abs=1e-5)
    assert reranker.score("q", []) == []


def test_its_scores_are_those_of_the_model_itself(folder):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    pairs = (["the roses"] * 2, ["the wall", "roses grow the wall"])
    with torch.no_grad():
        expected = model(**tokenizer(*pairs, padding=True, return_tensors="pt")).logits[:, 0].tolist()
    assert CrossEncoderReranker(str(folder)).score("the roses", pairs[1]) == pytest.approx(expected, abs=1e-5)


def test_nothing_is_loaded_before_it_is_needed(tmp_path):
    CrossEncoderReranker(str(tmp_path / "absent"))


def test_what_is_no_reranker_is_a_typed_error(tmp_path, folder):
    with pytest.raises(RerankerError, match="no safetensors"):
        CrossEncoderReranker(str(tmp_path)).score("q", ["a"])
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(RerankerError, match="no safetensors"):
        CrossEncoderReranker(str(tmp_path / "pickled")).score("q", ["a"])
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(RerankerError, match="cannot be loaded"):
        CrossEncoderReranker(str(broken)).score("q", ["a"])


def test_code_that_a_model_brings_is_not_run(tmp_path, folder):
    evil = tmp_path / "evil"
    evil.mkdir()
    for path in folder.iterdir():
        (evil / path.name).write_bytes(path.read_bytes())
    config = json.loads((evil / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "code.C", "AutoModelForSequenceClassification": "code.M"},
    }
    (evil / "config.json").write_text(json.dumps(config))
    (evil / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('x')")
    with pytest.raises(RerankerError):
        CrossEncoderReranker(str(evil)).score("q", ["a"])
    assert not (tmp_path / "ran").exists()


def test_a_knowledge_base_with_a_reranker(store, write, embedder):
    write(store, {"a.md": ["Roses grow.", "Roses by the wall."]})
    with KnowledgeBase("kb", embedder=embedder, store=store, reranker=Counting()) as base:
        assert base.search("roses grow")[0].passage.text == "Roses by the wall."

"""Embedding: the packaged model is the published one, order and batches do not matter, failures are typed."""

import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import embed_model
from rag.embed import SentenceEmbedder, find_model
from rag.embed_batches import token_batches
from rag.errors import EmbedderError
from rag.sparse import sparse_documents, sparse_query

SENTENCES = ["A cat sits on the mat.", "The stock market fell sharply. " * 30, "A kitten rests on a rug.", ""]


@pytest.fixture(scope="module")
def minilm():
    return SentenceEmbedder(device="cpu")


def test_the_packaged_model_is_found_without_running_its_code():
    folder = find_model(embed_model.DEFAULT_MODEL)
    assert (folder / "model.safetensors").is_file()
    assert embed_model.DEFAULT_PACKAGE not in sys.modules


def test_the_default_is_the_published_model(minilm):
    assert minilm.name == "sentence-transformers/all-MiniLM-L6-v2"
    assert minilm.sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (minilm.dimension, minilm.max_tokens) == (384, 256)


def test_vectors_are_unit_length_float32_and_know_meaning(minilm):
    vectors = minilm.embed(SENTENCES)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    query = minilm.embed_query("a cat on a carpet")
    assert query.shape == (384,)
    cosines = vectors @ query
    assert cosines[0] > 0.6 > 0.2 > cosines[1]


def test_vectors_do_not_depend_on_order_or_company(minilm):
    together = minilm.embed(SENTENCES)
    backwards = minilm.embed(SENTENCES[::-1])[::-1]
    alone = np.concatenate([minilm.embed([text]) for text in SENTENCES])
    assert np.allclose(together, backwards, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-5)
    assert minilm.embed([]).shape == (0, 384)


def test_a_vector_is_the_mean_of_its_tokens_which_are_unit_length(minilm):
    text = "A cat sits on the mat."
    tokens = minilm.embed_tokens(text)
    assert tokens.shape == (minilm.count(text) + 2, 384)  # and the two markers
    assert tokens.dtype == np.float32
    assert np.linalg.norm(tokens, axis=1) == pytest.approx(np.ones(len(tokens)), abs=1e-5)
    assert tokens.mean(axis=0) @ minilm.embed([text])[0] / np.linalg.norm(tokens.mean(axis=0)) > 0.97
    assert len(minilm.embed_tokens("word " * 1000)) == minilm.max_tokens


def test_tokens_are_counted_beyond_what_the_model_reads(minilm):
    assert minilm.count("") == 0
    assert minilm.count("A cat sits.") == 4
    assert minilm.count("word " * 1000) == 1000


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2000))
def test_batches_hold_every_text_once_within_the_budget(lengths, budget):
    batches = list(token_batches(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


def test_other_weights_under_the_default_name_are_refused(monkeypatch, tmp_path):
    shutil.copytree(find_model(embed_model.DEFAULT_MODEL), tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    monkeypatch.setattr(embed_model, "packaged_model", lambda: tmp_path / "model")
    with pytest.raises(EmbedderError, match="holds other weights than"):
        SentenceEmbedder().embed(["x"])


def test_a_folder_is_a_model_and_has_a_hash_of_its_own(minilm, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(minilm.folder, folder)
    mine = SentenceEmbedder(str(folder), device="cpu")
    assert mine.name == str(folder)
    assert mine.sha256 == minilm.sha256
    assert np.allclose(mine.embed(["hello"]), minilm.embed(["hello"]), atol=1e-6)


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(EmbedderError, match="no safetensors weights"):
        SentenceEmbedder(str(tmp_path)).embed(["x"])


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        _ = SentenceEmbedder(str(tmp_path)).dimension


@pytest.mark.parametrize("name", ["no such/model/here", "nobody-at-all/no-such-model"])
def test_an_unknown_name_is_refused(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EmbedderError, match=f"{name} was not found"):
        find_model(name)


def test_sparse_vectors_stem_fold_case_and_drop_stop_words():
    [running], query = sparse_documents(["The runners were RUNNING"]), sparse_query("run")
    assert set(query.indices) <= set(running.indices)
    assert query.values == (1.0,)
    assert sparse_query("the and of") == sparse_query("")

"""OpenVINO gives the reference's vectors, or does not run the model; it needs no PyTorch and sends nothing anywhere."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from decoder.errors import MissingExtra, SettingsError
from rag import embed_runtime
from rag.embed import DEFAULT_MODEL, SentenceEmbedder, find_model
from rag.embed_batches import Tokens
from rag.embed_model import DEFAULT_SHA256, read_layout
from rag.embed_runtime import Runtime
from rag.embed_verify import LEAST_COSINE, PROBES, _packed, least_cosine, reference
from rag.errors import EmbedderError
from rag.settings import RagSettings

pytest.importorskip("openvino_telemetry", reason="OpenVINO is not installed")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(embed_runtime, "GPU", tmp_path / "no GPU")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def torch_embedder():
    return SentenceEmbedder(device="cpu", runtime="torch")


@pytest.fixture
def fast():
    return SentenceEmbedder()


def copy_model(folder, **edits):
    """The packaged model with some of its JSON files changed."""
    shutil.copytree(find_model(DEFAULT_MODEL), folder)
    for name, change in edits.items():
        path = folder / {"pooling": "1_Pooling/config.json", "extra": "config_sentence_transformers.json"}.get(
            name, f"{name}.json"
        )
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A BERT of two layers with random weights, which no vectors are packaged for."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    folder = copy_model(tmp_path_factory.mktemp("models") / "tiny", pooling={"word_embedding_dimension": 48})
    config = BertConfig(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, max_position_embeddings=256
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def test_every_passage_has_the_references_vector(torch_embedder, fast, data):
    rows = json.loads((data / "squad" / "squad-13-articles.json").read_text())
    articles = rows["data"] if isinstance(rows, dict) else rows
    texts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]][::40]
    assert fast.runtime.label.startswith("OpenVINO")
    assert (fast.dimension, fast.max_tokens) == (torch_embedder.dimension, torch_embedder.max_tokens)
    assert (fast.embed(texts) * torch_embedder.embed(texts)).sum(axis=1).min() >= LEAST_COSINE


def test_every_token_has_the_references_vector(torch_embedder, fast):
    for text in PROBES:
        expected, found = torch_embedder.embed_tokens(text), fast.embed_tokens(text)
        assert found.shape == expected.shape
        assert (found * expected).sum(axis=1).min() >= LEAST_COSINE


def test_the_packaged_probes_are_what_pytorch_gives(torch_embedder):
    folder = torch_embedder.folder
    assert np.allclose(_packed(), reference(folder, Tokens(folder)), atol=1e-3)


def test_another_model_is_compared_with_pytorch_once_and_noted(tiny, home, monkeypatch):
    embedder = SentenceEmbedder(str(tiny))
    assert embedder.runtime.label.startswith("OpenVINO")
    [note] = (home / "cache" / "runtimes").iterdir()
    assert LEAST_COSINE <= json.loads(note.read_text())["cosine"] <= 1.001
    expected = SentenceEmbedder(str(tiny), runtime="torch").embed(PROBES)
    assert (embedder.embed(PROBES) * expected).sum(axis=1).min() >= LEAST_COSINE
    monkeypatch.setattr("rag.embed_verify.reference", None)  # would fail if it were asked again
    assert SentenceEmbedder(str(tiny)).runtime.label == embedder.runtime.label


@pytest.mark.parametrize("damage", ["", '{"cosine": 7}', "[]"])
def test_a_damaged_note_is_made_again(fast, home, damage):
    _ = fast.runtime
    [note] = (home / "cache" / "runtimes").iterdir()
    fine = note.read_text()
    note.write_text(damage)
    assert SentenceEmbedder().runtime.label.startswith("OpenVINO")
    assert note.read_text() == fine


def test_a_home_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "file"))
    assert SentenceEmbedder().runtime.label.startswith("OpenVINO")


class Turned(Runtime):
    """Another runtime's vectors, turned by an angle."""

    label = "Turned"

    def __init__(self, runtime, cosine):
        self.runtime, self.cosine = runtime, cosine

    def _turn(self, vectors):
        aside = np.roll(vectors, 1, axis=-1)
        aside -= (aside * vectors).sum(axis=-1, keepdims=True) * vectors
        aside /= np.linalg.norm(aside, axis=-1, keepdims=True)
        return self.cosine * vectors + np.sqrt(1 - self.cosine**2) * aside

    def embed_batches(self, texts):
        for positions, vectors in self.runtime.embed_batches(texts):
            yield positions, self._turn(vectors)

    def embed_query(self, text):
        return self._turn(self.runtime.embed_query(text))

    def embed_tokens(self, text):
        return self._turn(self.runtime.embed_tokens(text))


@pytest.mark.parametrize("cosine", [0.5, 0.98, 0.995])
def test_other_vectors_are_seen(fast, cosine):
    assert least_cosine(Turned(fast.runtime, cosine), _packed()) == pytest.approx(cosine, abs=0.005)


def test_a_runtime_that_differs_is_not_used(fast, home, caplog):
    _ = fast.runtime
    [note] = (home / "cache" / "runtimes").iterdir()
    note.write_text('{"cosine": 0.97}')
    with caplog.at_level(logging.WARNING):
        assert SentenceEmbedder().runtime.label == "PyTorch"
    assert "gives other vectors than PyTorch" in caplog.text
    with pytest.raises(EmbedderError, match="its vectors are not those of PyTorch"):
        _ = SentenceEmbedder(runtime="openvino").runtime


UNFIT = {
    "another pooling": {"pooling": {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}},
    "a query prompt": {"extra": {"prompts": {"query": "query: ", "document": ""}}},
    "another activation": {"config": {"hidden_act": "relu"}},
    "more tokens than positions": {"sentence_bert_config": {"max_seq_length": 513}},
}


@pytest.mark.parametrize("edits", UNFIT.values(), ids=UNFIT)
def test_an_unfit_model_is_left_to_pytorch(edits, tmp_path, fast):
    folder = copy_model(tmp_path / "model", **edits)
    other = SentenceEmbedder(str(folder), device="cpu")
    assert other.runtime.label == "PyTorch"
    assert other.embed(["hello"]).shape == (1, 384)
    assert other.fingerprint != fast.fingerprint
    assert other.sha256 == DEFAULT_SHA256
    with pytest.raises(EmbedderError, match="OpenVINO cannot run"):
        _ = SentenceEmbedder(str(folder), runtime="openvino").runtime


def test_weights_of_another_shape_are_left_to_pytorch(tiny, tmp_path, caplog):
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 3}))
    with caplog.at_level(logging.WARNING):
        found = embed_runtime._openvino(folder, "x", read_layout(folder), Tokens(folder))
    assert found == "it cannot load it"
    assert "OpenVINO cannot run" in caplog.text


def test_without_the_package_pytorch_runs_and_openvino_is_an_error(monkeypatch):
    monkeypatch.setattr(embed_runtime, "find_spec", lambda name: None)
    assert SentenceEmbedder(device="cpu").runtime.label == "PyTorch"
    with pytest.raises(MissingExtra, match="openvino is not installed"):
        _ = SentenceEmbedder(runtime="openvino").runtime


def test_a_gpu_is_left_to_pytorch(monkeypatch, tmp_path):
    (tmp_path / "GPU").touch()
    monkeypatch.setattr(embed_runtime, "GPU", tmp_path / "GPU")
    assert not embed_runtime._on_cpu(None)
    assert embed_runtime._on_cpu("cpu")
    assert not embed_runtime._on_cpu("cuda")


SILENT = """
import sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(("socket.", "urllib.")) else None)
from rag.embed import SentenceEmbedder
embedder = SentenceEmbedder(runtime="openvino")
assert embedder.embed(["a text"]).shape == (1, 384) and embedder.embed_query("a cat").shape == (384,)
print(seen, [name for name in ("torch", "transformers", "sentence_transformers") if name in sys.modules])
"""


def test_it_imports_no_pytorch_and_sends_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "user")}
    (tmp_path / "user").mkdir()
    command = [sys.executable, "-c", SILENT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[] []\n", "")
    assert list((tmp_path / "user").iterdir()) == []


def test_threads_share_a_model(fast):
    texts, wrong = PROBES[:6], []
    expected = fast.embed(texts)

    def work():
        for _ in range(3):
            if not np.allclose(fast.embed(texts), expected, atol=1e-6):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert wrong == []


def test_batches_say_which_texts_they_are_of(fast):
    texts = [f"text {i} " * (i % 40 + 1) for i in range(60)]
    batches = list(fast.embed_batches(texts))
    assert len(batches) > 1
    assert sorted(position for positions, _ in batches for position in positions) == list(range(len(texts)))
    whole = fast.embed(texts)
    for positions, vectors in batches:
        assert np.allclose(whole[positions], vectors, atol=1e-6)


def test_counts_are_the_same_one_by_one_and_together(fast):
    texts = [*PROBES, *PROBES, "a b c"]
    together = fast.count_many(texts)
    assert together == [SentenceEmbedder().count(text) for text in texts]
    assert together == [fast.count(text) for text in texts]


def test_the_setting_is_checked():
    with pytest.raises(SettingsError, match=r"rag\.runtime is 'onnx'"):
        RagSettings(runtime="onnx")
    with pytest.raises(SettingsError, match=r"rag\.embed_cache_mb is negative"):
        RagSettings(embed_cache_mb=-1)

"""What the tests of the knowledge base share: a small embedder without a model, passages, stores."""

import hashlib
import importlib.util
import os
import re
import uuid
from pathlib import Path

import numpy as np
import pytest

from rag.embed import Embedder
from rag.manifest import DocumentEntry, Manifest
from rag.settings import RagSettings
from rag.sparse import sparse_documents
from rag.store import open_store
from rag.types import Passage

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


class WordEmbedder(Embedder):
    """Every word has a random direction; a text is the sum of its words'. Texts that share words are near."""

    dimension = 64
    max_tokens = 256

    def __init__(self, name="words", sha256="0" * 64):
        self.name, self._sha256 = name, sha256
        self.embedded = []

    @property
    def sha256(self):
        return self._sha256

    def _vector(self, text):
        total = np.full(self.dimension, 1e-6, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).standard_normal(self.dimension).astype(np.float32)
        return total / np.linalg.norm(total)

    def embed(self, texts):
        self.embedded.extend(texts)
        return np.stack([self._vector(text) for text in texts]).astype(np.float32)

    def embed_query(self, text):
        return self._vector(text)

    def count(self, text):
        return len(text.split())


@pytest.fixture
def embedder():
    return WordEmbedder()


@pytest.fixture(scope="session")
def make_embedder():
    return WordEmbedder


@pytest.fixture(scope="session")
def data():
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent; set HEARTH_TEST_DATA")
    return DATA


@pytest.fixture(params=["edge", "memory", "qdrant"])
def store(request, tmp_path):
    """An empty index in every engine that needs no server, and behind a server's interface over HTTP."""
    more = {"qdrant_url": request.getfixturevalue("loopback").url} if request.param == "qdrant" else {}
    opened = open_store("kb", RagSettings(store=request.param, index_folder=str(tmp_path / "indexes"), **more))
    yield opened
    opened.close()


@pytest.fixture
def make_passage():
    def make(text, source="a.md", start=0, **more):
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source}:{start}:{text}"))
        return Passage(key, text, source, "Title", start, start + len(text), 1, 1, **more)

    return make


@pytest.fixture
def write(embedder, make_passage):
    """Commit a generation that adds `{source: [texts]}`, and the manifest for what is then there."""

    def write(store, documents, fresh=False, delete=()):
        with store.generation(embedder.dimension, fresh=fresh) as writer:
            known = {} if fresh or not store.refresh() else dict(store.manifest().documents)
            for source in delete:
                writer.delete_source(source)
                known.pop(source)
            for source, texts in documents.items():
                passages = [make_passage(text, source, start=i) for i, text in enumerate(texts)]
                writer.upsert(passages, embedder.embed(texts), sparse_documents(texts))
                kept = writer.put_text("\n".join(texts))
                known[source] = DocumentEntry("0" * 64, kept, len(texts), "Title", 0, 0, f"/{source}")
            return writer.commit(Manifest(embedder.name, embedder.dimension, embedder.sha256, 180, 30, known))

    return write


@pytest.fixture(scope="session")
def run_loopback():
    """A context manager that runs a Qdrant interface over memory on a loopback port; see tests/rag/loopback.py."""
    pytest.importorskip("qdrant_client", reason="needs qdrant-client")
    spec = importlib.util.spec_from_file_location("hearth_loopback", Path(__file__).with_name("loopback.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.running


@pytest.fixture
def loopback(run_loopback):
    with run_loopback() as server:
        yield server

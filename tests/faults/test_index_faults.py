"""Whatever stops a writer, and whenever: a whole generation answers, nothing is half there, the next run works."""

import errno
import os
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from rag import generations
from rag.errors import StoreFailed
from rag.manifest import DocumentEntry, Manifest
from rag.sparse import sparse_documents
from rag.store_edge import EdgeStore
from rag.types import Passage

ROOT = Path(__file__).parents[2]

# Indexes the same files over and over, with another version in all of them each time.
CHILD = """
import sys, hashlib, numpy as np
from itertools import count
from pathlib import Path
from rag.embed import Embedder
from rag.index import index
from rag.store_edge import EdgeStore

class Hashes(Embedder):
    name, dimension, sha256, max_tokens = "hashes", 16, "0" * 64, 256
    def embed_query(self, text):
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        vector = np.random.default_rng(seed).standard_normal(16).astype(np.float32)
        return vector / np.linalg.norm(vector)
    def embed(self, texts):
        return np.stack([self.embed_query(text) for text in texts])
    def count(self, text):
        return len(text.split())

docs, folder, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
docs.mkdir(exist_ok=True)
store = EdgeStore(folder)
for version in count() if rounds < 0 else range(rounds):
    for number in range(4):
        (docs / f"{number}.md").write_text(f"Document {number}.\\n\\n" + f"It has version {version}. " * 60)
    index([docs], store, Hashes())
    print(version, flush=True)
"""


@pytest.fixture
def child(tmp_path):
    started = []

    def start(rounds):
        command = [sys.executable, "-c", CHILD, str(tmp_path / "docs"), str(tmp_path / "kb"), str(rounds)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def version_of(store):
    """The one version that all documents, texts and passages of an index have."""
    store.refresh()
    manifest = store.manifest()
    assert len(manifest.documents) == 4
    assert store.count() == manifest.passages
    seen = set()
    for passage, _ in store.search_dense(np.ones(16, dtype=np.float32), 100):
        text = store.text(passage.source)
        assert text[passage.start : passage.end] == passage.text
        seen.update(word.strip(".") for word in text.split("version ")[1:] for word in [word.split()[0]])
    assert len(seen) == 1
    return int(seen.pop())


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_writer_leaves_a_whole_generation(tmp_path, child, seed):
    writer = child(-1)
    assert writer.stdout.readline() == "0\n"
    time.sleep(random.Random(seed).uniform(0, 0.8))
    writer.kill()
    done = int((["0", *writer.stdout.read().split()])[-1])
    writer.wait(timeout=10)
    assert version_of(EdgeStore(tmp_path / "kb")) in (done, done + 1)
    again = child(2)
    assert again.communicate(timeout=60)[0] == "0\n1\n"
    assert version_of(EdgeStore(tmp_path / "kb")) == 1
    assert len(list((tmp_path / "kb" / "generations").iterdir())) == 1


def test_readers_in_another_process_see_whole_generations_only(tmp_path, child):
    writer = child(6)
    assert writer.stdout.readline() == "0\n"
    reader, seen = EdgeStore(tmp_path / "kb"), []
    while writer.poll() is None:
        seen.append(version_of(reader))
        version_of(EdgeStore(tmp_path / "kb"))
    assert seen == sorted(seen)
    assert version_of(reader) == 5


def put(store, version):
    """Two documents of one version, without an embedding model."""
    passages, entries = [], {}
    with store.generation(4) as writer:
        for source in ("a.md", "b.md"):
            writer.delete_source(source)
            key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source}{version}"))
            passages.append(Passage(key, f"version {version}", source, "", 0, 9, 1, 1))
            entries[source] = DocumentEntry("", writer.put_text(f"version {version} of {source}"), 1, "", 0, 0, source)
        writer.upsert(passages, np.eye(2, 4, dtype=np.float32), sparse_documents([p.text for p in passages]))
        writer.commit(Manifest("none", 4, "", 180, 30, entries))


def check(store, *versions):
    store.refresh()
    texts = {p.text for p, _ in store.search_dense(np.ones(4, dtype=np.float32), 9)}
    assert texts in [{f"version {version}"} for version in versions]
    [text] = texts
    assert [store.text(source) for source in ("a.md", "b.md")] == [f"{text} of a.md", f"{text} of b.md"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    "step", ["begin", "copy_shard", "link_texts", "sync_tree", "write_manifest", "dump", "sync", "clean"]
)
def test_a_writer_that_fails_at_any_step_leaves_a_whole_generation(tmp_path, monkeypatch, step, error):
    store = EdgeStore(tmp_path / "kb")
    put(store, 1)

    def fail(*arguments, **options):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(generations, step, fail)
        with pytest.raises((StoreFailed, KeyboardInterrupt)):
            put(store, 2)
    check(store, 1, 2)
    check(EdgeStore(tmp_path / "kb"), 1, 2)
    put(store, 3)
    check(store, 3)
    check(EdgeStore(tmp_path / "kb"), 3)
    assert len(list((tmp_path / "kb" / "generations").iterdir())) == 1


def test_an_interrupt_right_after_the_switch_keeps_the_new_generation(tmp_path, monkeypatch):
    store = EdgeStore(tmp_path / "kb")
    put(store, 1)

    def interrupt(path):
        if path == tmp_path / "kb":  # the last step of the switch
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generations, "sync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            put(store, 2)
    check(EdgeStore(tmp_path / "kb"), 2)


def test_a_file_size_limit_is_a_typed_error_and_the_old_generation_answers(tmp_path):
    """The engine's own writes fail here, as they do on a full disk."""
    store = EdgeStore(tmp_path / "kb")
    put(store, 1)
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path;"
        "from rag.store_edge import EdgeStore; from rag.errors import StoreFailed;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); store = EdgeStore(Path(sys.argv[1]));"
        "store.refresh()\ntry:\n    store.generation(4, fresh=True)\nexcept StoreFailed as e:\n    print('refused')"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "kb"), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.stdout == "refused\n", run.stderr
    check(EdgeStore(tmp_path / "kb"), 1)

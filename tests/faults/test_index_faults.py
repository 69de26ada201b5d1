"""Whatever stops a writer, and whenever: a whole generation answers, nothing is half there, the next run works."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kills
from rag import generations, store_edge_writer, terms, texts
from rag.errors import StoreFailed
from rag.index import index
from rag.manifest import DocumentEntry, Manifest
from rag.sparse import sparse_documents, sparse_query
from rag.store_edge import EdgeStore
from rag.types import Passage
from rag.verify import verify

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_document(tmp_path, seed):
    """`python -m benchmarks.kills` does the same over many more seeds."""
    found = kills.in_fresh_process(tmp_path, seed)
    assert (found.lost, found.half, found.problems) == (0, 0, ())


def test_sizes_and_checksums_hold_while_other_processes_open_the_same_shards(tmp_path):
    """The engine writes a shard's configuration anew at each opening: under another name, then moved to its place."""
    docs, store = tmp_path / "docs", EdgeStore(tmp_path / "kb")
    docs.mkdir()
    kills.write_version(docs, 0)
    index([docs], store, kills.Hashes())
    (configuration, *_) = (tmp_path / "kb").rglob("edge_config.json")
    content, done = configuration.read_bytes(), threading.Event()

    def rewrite():
        while not done.is_set():
            unfinished = configuration.with_name(f".atomicwrite{uuid.uuid4().hex[:6]}")
            unfinished.write_bytes(content)
            unfinished.replace(configuration)

    others = [threading.Thread(target=rewrite) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(100):
            assert store.check_files() == []
            assert store.size() > 0
    finally:
        done.set()
        for other in others:
            other.join()


READER = """
import sys
from pathlib import Path
from rag.store_edge import EdgeStore
from benchmarks.kills import DOCUMENTS
store, switches, last = EdgeStore(Path(sys.argv[1])), 0, ""
print("reading", flush=True)
while switches < 15:
    for opened in (store, EdgeStore(Path(sys.argv[1]))):
        opened.refresh()
        manifest = opened.manifest()
        points = list(opened.points())
        assert len(points) == manifest.passages == opened.count(), (len(points), manifest.passages)
        for point in points[:3]:
            assert opened.text(point.passage.source)[point.passage.start : point.passage.end] == point.passage.text
    switches, last = switches + (manifest.generation != last), manifest.generation
print("done")
"""


def test_a_reader_in_another_process_sees_whole_generations_during_every_switch(tmp_path, monkeypatch):
    for name, value in {"DIRECT": 0, "FIRST_COMMIT": 0, "LAST_COMMIT": 0}.items():
        monkeypatch.setattr(f"rag.indexing.{name}", value)
    docs, store = tmp_path / "docs", EdgeStore(tmp_path / "kb")
    docs.mkdir()
    kills.write_version(docs, 0)
    index([docs], store, kills.Hashes())
    command = [sys.executable, "-c", READER, str(tmp_path / "kb")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:
        timer = threading.Timer(200, reader.kill)
        timer.start()
        assert reader.stdout.readline() == "reading\n"
        version = 0
        while reader.poll() is None:
            version += 1
            kills.write_version(docs, version)
            index([docs], store, kills.Hashes())
        timer.cancel()
        assert (reader.stdout.read(), reader.stderr.read()) == ("done\n", "")
    assert verify(EdgeStore(tmp_path / "kb")) == []


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


STEPS = [
    (generations, "begin"),
    (generations, "begin_shard"),
    (generations, "sync_tree"),
    (generations, "write_manifest"),
    (generations, "dump"),
    (generations, "sync"),
    (generations, "clean"),
    (terms, "save"),
    (texts, "put"),
    (texts, "forget_others"),
    (store_edge_writer, "create"),
    (store_edge_writer, "seal"),
    (store_edge_writer, "merge"),
]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(("module", "step"), STEPS)
def test_a_writer_that_fails_at_any_step_leaves_a_whole_generation(tmp_path, monkeypatch, module, step, error):
    monkeypatch.setattr("rag.store_edge_merge.MOST_SHARDS", 0)  # each commit merges
    store = EdgeStore(tmp_path / "kb")
    put(store, 1)

    def fail(*arguments, **options):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, step, fail)
        with pytest.raises((StoreFailed, KeyboardInterrupt)):
            put(store, 2)
    check(store, 1, 2)
    check(EdgeStore(tmp_path / "kb"), 1, 2)
    put(store, 3)
    check(store, 3)
    check(EdgeStore(tmp_path / "kb"), 3)
    assert len(list((tmp_path / "kb" / "generations").iterdir())) == 1
    assert len(list((tmp_path / "kb" / "shards").iterdir())) == 1


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


@pytest.fixture(params=["ext4", "tmpfs"])
def small_disk(request, tmp_path):
    """A small file system, its kind, and a function that leaves so many MiB of it free."""
    place, image = tmp_path / "disk", tmp_path / "image"
    place.mkdir()
    if request.param == "ext4":
        image.touch()
        os.truncate(image, 200 << 20)
        commands = [["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(place)]]
    else:  # where reading a hole of a mapped file takes room
        commands = [["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(place)]]
    for command in commands:
        if not shutil.which(command[0]) or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small file system can only be made and mounted by root")

    def free():
        status = os.statvfs(place)
        return status.f_bavail * status.f_frsize

    def leave(mebibytes):
        (place / "ballast").unlink(missing_ok=True)
        with (place / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while free() > mebibytes << 20:
                file.write(bytes(min(1 << 20, free() - (mebibytes << 20))))

    yield request.param, place, leave
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_full_disk_the_old_generation_answers_and_the_next_run_works(small_disk, tmp_path):
    """Opening an index takes the engine a few kilobytes; who has it open needs none, but on tmpfs a mebibyte or so."""
    kind, place, leave = small_disk
    docs, store, reader = tmp_path / "docs", EdgeStore(place / "kb"), EdgeStore(place / "kb")
    docs.mkdir()
    kills.write_version(docs, 0)
    index([docs], store, kills.Hashes())
    assert verify(reader) == []
    outcomes = []
    for version, free in enumerate((0, 1, 2, 4, 16, 30, 60) if kind == "ext4" else (24, 30, 120), 1):
        leave(free)
        kills.write_version(docs, version)
        try:
            index([docs], store, kills.Hashes())
            outcomes.append("written")
        except StoreFailed as error:
            assert "disk" in str(error)
            outcomes.append("refused")
        for opened in (reader, *([EdgeStore(place / "kb")] if free else [])):
            assert verify(opened) == []
            assert len(opened.manifest().documents) == kills.DOCUMENTS
            assert opened.search_sparse(sparse_query("document version"), 5)
    assert outcomes == ["refused"] * (len(outcomes) - 1) + ["written"]


def test_a_file_size_limit_is_a_typed_error_and_the_old_generation_answers(tmp_path):
    """The engine's own writes fail here, as they do on a full disk."""
    store = EdgeStore(tmp_path / "kb")
    put(store, 1)
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path;"
        "import numpy as np; from rag.store_edge import EdgeStore; from rag.errors import StoreFailed;"
        "from rag.types import Passage; from rag.sparse import sparse_documents;"
        "passage = Passage('00000000-0000-5000-8000-000000000000', 'x', 'x', '', 0, 1, 1, 1);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); store = EdgeStore(Path(sys.argv[1]));"
        "store.refresh(); writer = store.generation(4, fresh=True)\n"
        "try:\n    writer.upsert([passage], np.ones((1, 4), dtype=np.float32), sparse_documents(['x']))\n"
        "except StoreFailed as e:\n    print('refused')\nwriter.discard()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "kb"), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.stdout == "refused\n", run.stderr
    check(EdgeStore(tmp_path / "kb"), 1)

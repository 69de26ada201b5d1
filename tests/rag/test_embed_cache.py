"""The cache of vectors: known texts are not embedded again, and nothing about its file can hurt."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag import cache as cache_module
from rag.cache import VectorCache
from rag.embed_cache import CachedEmbedder, with_cache
from rag.settings import RagSettings

TEXTS = [f"text number {i} about topic {i % 7}" for i in range(200)]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "embeddings"


@pytest.fixture
def cached(embedder, folder):
    made = CachedEmbedder(embedder, VectorCache(folder, 2**26))
    yield made
    made.cache.close()


def only_file(folder):
    [file] = folder.glob("vectors-*.sqlite")
    return file


def edit(file, statement, *values):
    with sqlite3.connect(file) as connection:
        connection.execute(statement, values)
    connection.close()


def test_what_is_known_is_not_embedded_again(embedder, make_embedder, cached, folder):
    first = cached.embed(TEXTS)
    assert len(embedder.embedded) == len(TEXTS)
    again = cached.embed(TEXTS[::-1])[::-1]
    assert len(embedder.embedded) == len(TEXTS)
    assert np.array_equal(first, again)
    assert np.array_equal(first, make_embedder().embed(TEXTS))
    assert cached.embed([]).shape == (0, 64)


def test_tokens_come_from_the_embedder(cached):
    assert cached.embed_tokens("one two") is None
    cached.inner.embed_tokens = lambda text: np.ones((len(text.split()), 4), dtype=np.float32)
    assert cached.embed_tokens("one two").shape == (2, 4)


def test_another_process_knows_them_too(cached, make_embedder, folder):
    expected = cached.embed(TEXTS[:20])
    other = make_embedder()
    assert np.array_equal(CachedEmbedder(other, VectorCache(folder, 2**26)).embed(TEXTS[:20]), expected)
    assert other.embedded == []


def test_a_text_that_is_there_twice_is_embedded_once(embedder, cached):
    vectors = cached.embed(["a cat", "a dog", "a cat", "a cat"])
    assert sorted(embedder.embedded) == ["a cat", "a dog"]
    assert np.array_equal(vectors[0], vectors[2])
    assert np.array_equal(vectors[0], vectors[3])
    assert not np.array_equal(vectors[0], vectors[1])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=30), max_size=20))
def test_any_texts_give_what_the_embedder_gives(make_embedder, cached, texts):
    expected = make_embedder().embed(texts) if texts else np.empty((0, 64))
    assert np.array_equal(cached.embed(texts), expected)
    assert np.array_equal(cached.embed(texts), expected)


def test_queries_and_passages_are_kept_apart(cached, embedder, folder):
    asked = []
    embedder.embed_query = lambda text: asked.append(text) or -embedder._vector(text)  # a model with a query prompt
    passage, query = cached.embed(["a cat"])[0], cached.embed_query("a cat")
    assert np.array_equal(query, -passage)
    query[:] = 0  # a caller's copy
    assert np.array_equal(cached.embed_query("a cat"), -passage)
    assert np.array_equal(CachedEmbedder(embedder, VectorCache(folder, 2**26)).embed_query("a cat"), -passage)
    assert asked == ["a cat"]


def test_another_model_or_configuration_is_another_key(make_embedder, folder):
    cache = VectorCache(folder, 2**26)
    CachedEmbedder(make_embedder(), cache).embed(["a cat"])
    other = make_embedder(sha256="1" * 64)
    CachedEmbedder(other, cache).embed(["a cat"])
    assert other.embedded == ["a cat"]


def test_a_batch_is_kept_as_soon_as_it_is_there(cached, embedder, folder):
    batches = cached.embed_batches(TEXTS)
    positions, _ = next(batches)
    batches.close()  # what an interrupt leaves: the second batch had not begun
    other = CachedEmbedder(embedder, VectorCache(folder, 2**26))
    embedder.embedded.clear()
    other.embed(TEXTS)
    assert len(embedder.embedded) == len(TEXTS) - len(positions)


def _flip(file):
    raw = bytearray(file.read_bytes())
    middle = raw.index(b"vectors") if b"vectors" in raw[:4096] else 100
    raw[middle : middle + 40] = bytes(40)
    file.write_bytes(raw)


def _one_bit(file):
    [vector] = sqlite3.connect(file).execute("SELECT vector FROM vectors LIMIT 1").fetchone()
    edit(file, "UPDATE vectors SET vector = ?", vector[:-1] + bytes([vector[-1] ^ 1]))


def _resummed(value):
    """Tampering by someone who knows the checksum, with a value that is no unit vector of this length."""

    def tamper(file):
        with sqlite3.connect(file) as connection:
            for row, key in connection.execute("SELECT id, key FROM vectors").fetchall():
                edited = (value, cache_module._checksum(key, value), row)
                connection.execute("UPDATE vectors SET vector = ?, sum = ? WHERE id = ?", edited)
        connection.close()

    return tamper


DAMAGE = {
    "not a database": lambda file: file.write_bytes(b"PK\x03\x04" * 500),
    "cut short": lambda file: os.truncate(file, file.stat().st_size // 2),
    "zeros in the schema": _flip,
    "one bit of a vector": _one_bit,
    "text for a vector": lambda file: edit(file, "UPDATE vectors SET vector = 'abc'"),
    "a longer vector": _resummed(np.eye(1, 65, dtype="<f4").tobytes()),
    "a vector of length 2": _resummed((2 * np.eye(1, 64, dtype="<f4")).tobytes()),
    "a vector of NaN": _resummed(np.full(64, np.nan, dtype="<f4").tobytes()),
    "vectors exchanged": lambda file: edit(
        file, "UPDATE vectors SET vector = (SELECT v.vector FROM vectors v WHERE v.id = 101 - vectors.id)"
    ),
    "another table": lambda file: edit(file, "DROP TABLE vectors"),
    "other columns": lambda file: edit(file, "ALTER TABLE vectors RENAME COLUMN vector TO something"),
    "a trigger": lambda file: edit(
        file, "CREATE TRIGGER t AFTER INSERT ON vectors BEGIN DELETE FROM vectors WHERE id = new.id; END"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_or_tampered_file_is_made_anew_with_a_remark(damage, make_embedder, folder, caplog):
    first = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
    expected = first.embed(TEXTS[:100])
    first.cache.close()
    damage(only_file(folder))
    with caplog.at_level(logging.WARNING):
        second = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
        assert np.array_equal(second.embed(TEXTS[:100]), expected)
        assert np.array_equal(second.embed(TEXTS[:100]), expected)
    # A dropped table is simply made again, which needs no remark.
    assert ("made anew" in caplog.text) == (damage is not DAMAGE["another table"])
    second.cache.close()
    third = make_embedder()
    assert np.array_equal(CachedEmbedder(third, VectorCache(folder, 2**26)).embed(TEXTS[:100]), expected)
    assert third.embedded == []
    only_file(folder)


def test_a_process_that_still_has_the_damaged_file_goes_on(make_embedder, folder):
    old = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
    expected = old.embed(TEXTS[:50])
    new = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
    new.embed(TEXTS[:1])
    new.cache._give_up(cache_module.Damaged("as this process sees it"))
    assert np.array_equal(new.embed(TEXTS[:50]), expected)
    assert np.array_equal(old.embed(TEXTS[:100])[:50], expected)
    old.cache.close()  # must not take the new file's log along
    assert np.array_equal(new.embed(TEXTS[:100])[:50], expected)
    new.cache.close()
    last = make_embedder()
    CachedEmbedder(last, VectorCache(folder, 2**26)).embed(TEXTS[:100])
    assert last.embedded == []


def test_the_oldest_go_when_it_is_full(make_embedder, folder):
    limit = 256 * 1024
    embedder = make_embedder()
    cached = CachedEmbedder(embedder, VectorCache(folder, limit))
    many = [f"document {i}" for i in range(2000)]
    cached.embed(many)
    cached.cache.close()
    assert only_file(folder).stat().st_size <= 1.25 * limit
    embedder.embedded.clear()
    cached.embed(many[-200:])
    assert embedder.embedded == []
    cached.embed(many[:200])
    assert len(embedder.embedded) == 200


def test_a_lower_limit_is_kept_too(make_embedder, folder, caplog):
    big = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
    big.embed([f"document {i}" for i in range(3000)])
    big.cache.close()
    small = CachedEmbedder(make_embedder(), VectorCache(folder, 2**18))
    small.embed(TEXTS)
    small.cache.close()
    assert only_file(folder).stat().st_size < 2**18
    assert "larger than the setting allows" in caplog.text


def test_threads_share_one_cache(make_embedder, folder):
    cached, expected, wrong = (
        CachedEmbedder(make_embedder(), VectorCache(folder, 2**26)),
        make_embedder().embed(TEXTS),
        [],
    )

    def work(shift):
        order = [(i + shift) % len(TEXTS) for i in range(len(TEXTS))]
        if not np.array_equal(cached.embed([TEXTS[i] for i in order]), expected[order]):
            wrong.append(shift)

    threads = [threading.Thread(target=work, args=(17 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(cached.cache.get([cached._key("passage", text) for text in TEXTS], 64)) == len(TEXTS)


WRITER = """
import sys, numpy as np
from pathlib import Path
from rag.cache import VectorCache
cache, start = VectorCache(Path(sys.argv[1]), 2**26), int(sys.argv[2])
print("ready", flush=True)
for batch in range(start, start + int(sys.argv[3])):
    vectors = {}
    for i in range(8):
        rng = np.random.default_rng(8 * batch + i)
        v = rng.standard_normal(64).astype(np.float32)
        vectors[(8 * batch + i).to_bytes(32, "big")] = v / np.linalg.norm(v)
    cache.put(vectors)
    print(batch, flush=True)
"""


def start_writer(folder, first, batches):
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(batches)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def test_processes_write_at_once_and_lose_nothing(folder):
    writers = [start_writer(folder, 100 * n, 60) for n in range(4)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")
    keys = [
        (8 * batch + i).to_bytes(32, "big")
        for n in range(4)
        for batch in range(100 * n, 100 * n + 60)
        for i in range(8)
    ]
    assert len(VectorCache(folder, 2**26).get(keys, 64)) == len(keys)


def test_sigkill_loses_no_batch_that_was_kept(folder):
    kept = set()
    for round_ in range(5):
        writer = start_writer(folder, 10_000 * round_, 10_000)
        assert writer.stdout.readline() == "ready\n"
        time.sleep(0.02 * (round_ + 1))
        writer.send_signal(signal.SIGKILL)
        out, _ = writer.communicate(timeout=60)
        kept |= {int(line) for line in out.split("\n")[:-1]}
    assert kept
    cache = VectorCache(folder, 2**26)
    found = cache.get([(8 * batch + i).to_bytes(32, "big") for batch in kept for i in range(8)], 64)
    assert len(found) == 8 * len(kept)


def test_a_forked_child_opens_the_file_for_itself(make_embedder, folder):
    cached = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
    cached.embed(TEXTS[:10])
    child = os.fork()
    if child == 0:
        fine = cached.embed(TEXTS[:30]).shape == (30, 64)
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    cached.inner.embedded.clear()
    cached.embed(TEXTS[:30])
    assert cached.inner.embedded == []


def test_a_folder_that_cannot_be_written_costs_a_remark(make_embedder, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cached = CachedEmbedder(make_embedder(), VectorCache(tmp_path / "file" / "embeddings", 2**26))
    expected = make_embedder().embed(TEXTS)
    assert np.array_equal(cached.embed(TEXTS), expected)
    assert np.array_equal(cached.embed(TEXTS), expected)
    assert caplog.text.count("the work goes on without it") == 1


def test_a_full_disk_costs_a_remark(make_embedder, folder, caplog):
    cached = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
    expected = cached.embed(TEXTS[:50])
    cached.cache._connection.execute("PRAGMA max_page_count = 4")  # SQLite's own "database or disk is full"
    both = cached.embed(TEXTS)
    assert np.array_equal(both[:50], expected)
    assert np.array_equal(both, make_embedder().embed(TEXTS))
    assert caplog.text.count("the work goes on without it") == 1


def test_a_file_that_stays_locked_costs_a_remark(make_embedder, folder, caplog, monkeypatch):
    monkeypatch.setattr(cache_module, "BUSY_SECONDS", 0.1)
    cached = CachedEmbedder(make_embedder(), VectorCache(folder, 2**26))
    cached.embed(TEXTS[:5])
    other = sqlite3.connect(only_file(folder), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert np.array_equal(cached.embed(TEXTS), make_embedder().embed(TEXTS))
    other.close()
    assert "the work goes on without it" in caplog.text


def test_it_is_the_owners_alone(cached, folder):
    cached.embed(["a secret"])
    assert folder.stat().st_mode & 0o077 == 0
    assert b"a secret" not in only_file(folder).read_bytes()


def test_the_settings_bound_it_or_switch_it_off(embedder, monkeypatch, tmp_path):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    on = with_cache(embedder, RagSettings(embed_cache_mb=3))
    assert (on.cache.limit, on.cache.folder) == (3 * 2**20, tmp_path / "home" / "cache" / "embeddings")
    assert with_cache(embedder, RagSettings(embed_cache_mb=0)) is embedder
    assert not (tmp_path / "home").exists()


def test_a_search_makes_no_file_where_there_is_none(cached, folder):
    assert cached.cache.get([b"0" * 32], 64) == {}
    assert not folder.exists()
